import { BilanciaError } from "../domain/errors.js";
import { type ServerEntry, serverRules } from "../domain/server-entry.js";

/** Checks an entry that an operator or a server has sent. @throws BilanciaError `INVALID_HEADER` */
export function checkEntry(entry: ServerEntry): void {
  for (const field of ["name", "address", "weight"] as const) checkField(field, entry[field]);
}

/** Checks one field of an entry. @throws BilanciaError `INVALID_HEADER` */
export function checkField<Field extends keyof ServerEntry>(field: Field, value: ServerEntry[Field]): void {
  const rule: { expected: string; holds(value: never): boolean } = serverRules[field];
  if (rule.holds(value as never)) return;
  throw new BilanciaError("INVALID_HEADER", `${field}: ${rule.expected}; came ${JSON.stringify(value).slice(0, 80)}`);
}
