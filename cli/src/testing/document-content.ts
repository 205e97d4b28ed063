/** The content of a text document, for the fakes; `undefined` where it is none. */
export function documentContent(chunks: readonly Uint8Array[]): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
    const value: Record<string, unknown> = JSON.parse(text);
    const content = value.content ?? value.contenuto;
    return typeof (value.title ?? value.titolo) === "string" && typeof content === "string" ? content : undefined;
  } catch {
    return undefined;
  }
}
