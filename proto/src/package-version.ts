import { readFileSync } from "node:fs";

/**
 * The version of the package that a module is part of, for example `0.1.0`.
 *
 * @param moduleUrl `import.meta.url` of a module right in the package's `dist`
 */
export function packageVersion(moduleUrl: string): string {
  const manifest = readFileSync(new URL("../package.json", moduleUrl), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
