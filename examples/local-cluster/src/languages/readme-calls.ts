import { readFileSync } from "node:fs";

/** A call as grpcurl is told of it. */
export interface Call {
  /** The request in JSON; absent for an empty one. */
  readonly data?: string | undefined;
  /** The port that `npm start` uses. */
  readonly port: number;
  /** `list`, `describe SYMBOL` or `SERVICE/METHOD`. */
  readonly request: string;
}

/** A command of the README. */
export interface ReadmeCommand {
  /** For a shell, as it stands there. */
  readonly command: string;
  /** What is shown below it; only of commands after a `$`. */
  readonly output: string | undefined;
}

/** The commands of the README's section on grpcurl, in order. */
export function readmeCommands(): ReadmeCommand[] {
  const readme = readFileSync(new URL("../../../../README.md", import.meta.url), "utf8");
  const section = /^## grpcurl\n(.*?)^## /ms.exec(readme)?.[1];
  if (section === undefined) throw new Error("README.md has no section on grpcurl");
  return [...section.matchAll(/^```\n(.*?)^```$/gms)].flatMap(([, block = ""]) =>
    block
      .split(/^(?=\$ |grpcurl |npx |# )/m)
      .filter((text) => !text.startsWith("# "))
      .map(commandAndOutput),
  );
}

function commandAndOutput(text: string): ReadmeCommand {
  if (!text.startsWith("$ ")) return { command: text.trim(), output: undefined };
  const end = text.indexOf("\n");
  return { command: text.slice(2, end), output: text.slice(end + 1).trim() };
}

/** Reads a grpcurl command. */
export function callOf(command: string): Call {
  const found = /^grpcurl -plaintext (?:-d '([^']+)' )?127\.0\.0\.1:(\d+) (.+)$/.exec(command.replace(/\\\n\s*/g, ""));
  if (!found) throw new Error(`expected grpcurl -plaintext [-d 'JSON'] 127.0.0.1:PORT REQUEST; came ${command}`);
  const [, data, port, request = ""] = found;
  return { data, port: Number(port), request };
}

/** The command with which grpcurl makes a call. */
export function grpcurlCommand({ data, port, request }: Call): string {
  return `grpcurl -plaintext ${dataFlag(data)}127.0.0.1:${port} ${request}`;
}

/** The command with which `buf curl` makes a call; it cannot describe. */
export function bufCommand({ data, port, request }: Call): string {
  const flags = "buf curl --protocol grpc --http2-prior-knowledge";
  const url = `http://127.0.0.1:${port}`;
  if (request === "list") return `${flags} --list-services ${url}`;
  return `${flags} ${dataFlag(data)}${url}/${request}`;
}

function dataFlag(data: string | undefined): string {
  return data === undefined ? "" : `-d '${data}' `;
}
