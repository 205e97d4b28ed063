/** A program and its first arguments: the words of an environment variable, one to a line. Absent: this machine has not got it. */
export function wordsOf(variable: string): string[] | undefined {
  return process.env[variable]?.split("\n").filter((word) => word !== "");
}
