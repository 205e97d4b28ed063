/** What errors of the connection say, and what that means. */
const meanings: readonly (readonly [RegExp, string])[] = [
  [/^Protocol error$/, "what listens there does not speak gRPC"],
  [
    /^Failed to connect$|^read ECONNRESET$/,
    "what listens there closed the connection: it may want TLS, or another certificate of the client",
  ],
  [/^certificate has expired$/, "the certificate of what listens there has expired"],
  [
    /^(?:self-signed certificate|unable to (?:verify|get)) ?/,
    "the certificate of what listens there is of an authority that is not known here",
  ],
  [/SSL routines:.*wrong version number/s, "what listens there does not speak TLS"],
  [
    /SSL routines:.*alert (?:certificate required|bad certificate|unknown ca|certificate expired|certificate unknown)/s,
    "what listens there wants another certificate of the client",
  ],
];

/** grpc-js' words on a connection that could not be made: the reason alone, for people. Other words are left as they are. */
export function connectionWords(details: string): string {
  const reason =
    /No connection established\. Last error: (?:Error: )?(.*?)\s*(?: \([-\d]+T[^)]+Z\))?\. Resolution note: /s;
  const why = reason.exec(details)?.[1];
  if (why === undefined) return details;
  return meanings.find(([words]) => words.test(why))?.[1] ?? why;
}
