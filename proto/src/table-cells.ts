/** Markdown without the padding that the formatter gives a table's columns: what stands in them is what counts. For tests of documents that are made. */
export function tableCells(markdown: string): string {
  return markdown.replaceAll(/ *\| */g, "|").replaceAll(/-{3,}/g, "---");
}
