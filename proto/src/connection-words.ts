/** grpc-js' words on a connection that could not be made: the reason alone, for people. Other words are left as they are. */
export function connectionWords(details: string): string {
  const reason =
    /No connection established\. Last error: (?:Error: )?(.*?)(?: \([-\d]+T[^)]+Z\))?\. Resolution note: /s;
  const why = reason.exec(details)?.[1] ?? details;
  return why === "Protocol error" ? "what listens there does not speak gRPC" : why;
}
