import type { AdminClient, DeadLetter, ListDeadLettersRequest } from "@bilancia/proto/gen/admin";
import { callUnary } from "@bilancia/proto/unary";
import { status as grpcStatus, type ServiceError } from "@grpc/grpc-js";
import { deadLetterColumns, deadLetterFacts, deadLetterJson } from "../output/dead-letter-report.js";
import { renderFacts } from "../output/facts.js";
import { counted, printable } from "../output/human.js";
import { jsonNumber } from "../output/json.js";
import { renderTable } from "../output/table.js";
import { askAdmin } from "./admin-request.js";
import { type CommandContext, exitCode, UsageError } from "./command-context.js";
import type { Prompter } from "./prompter.js";

const pageSize = 500;

/** Which dead letters a command is for. */
export type LetterChoice =
  | { readonly kind: "all" }
  | { readonly kind: "some"; readonly requestNumbers: readonly bigint[] };

/** Reads which dead letters are meant. @throws UsageError when neither or both are given */
export function chooseLetters(requestNumbers: readonly bigint[], all: boolean): LetterChoice {
  if (all === requestNumbers.length > 0) {
    const came = all ? "both" : "neither";
    throw new UsageError(`NUMBER: expected request numbers of dead letters, or --all; got ${came}`);
  }
  return all ? { kind: "all" } : { kind: "some", requestNumbers };
}

/** Lists the dead letters, at most `limit`. Returns the exit code. @throws UnreachableError, BalancerError */
export async function listDeadLetters(limit: number, context: CommandContext): Promise<number> {
  const { screen, json } = context;
  // One more than is shown tells whether there are more.
  const letters = await collect(limit + 1, context);
  const shown = letters.slice(0, limit);
  if (json) for (const letter of shown) await screen.print(JSON.stringify(deadLetterJson(letter)));
  else if (shown.length === 0) await screen.print("there are no dead letters");
  else await screen.print(renderTable(deadLetterColumns(Date.now()), shown, screen));
  if (letters.length > limit) screen.remark(`there are more than ${counted(limit, "dead letter")}; see --limit`);
  return exitCode.ok;
}

/** Shows one dead letter. Returns the exit code. @throws UnreachableError, BalancerError */
export async function showDeadLetter(requestNumber: bigint, context: CommandContext): Promise<number> {
  const { screen, json } = context;
  const { deadLetters } = await askAdmin(context, (client, timeoutMs) =>
    listPage(client, { pageSize: 1, pageToken: "", requestNumber }, timeoutMs),
  );
  for (const letter of deadLetters) {
    await screen.print(json ? JSON.stringify(deadLetterJson(letter)) : renderFacts(deadLetterFacts(letter), screen));
  }
  return exitCode.ok;
}

/** Puts dead letters back in the queue. Returns the exit code: 1 when some could not be. @throws UnreachableError, BalancerError */
export function retryDeadLetters(choice: LetterChoice, context: CommandContext): Promise<number> {
  return settle(choice, context, "retried", (client, requestNumber, timeoutMs) =>
    callUnary(client.retryUpload.bind(client), { requestNumber }, timeoutMs),
  );
}

/**
 * Forgets the bytes of dead letters, once somebody has agreed. Returns the exit code: 1 when some could not be, or nobody agreed.
 *
 * @param prompter whom to ask; `undefined` when it is agreed already
 * @throws UnreachableError, BalancerError
 */
export async function discardDeadLetters(
  choice: LetterChoice,
  prompter: Prompter | undefined,
  context: CommandContext,
): Promise<number> {
  if (prompter) {
    const what = choice.kind === "all" ? "all dead letters" : counted(choice.requestNumbers.length, "dead letter");
    const answer = await prompter.ask(`Forget the bytes of ${what} for good? [y/N]`);
    if (!/^y(es)?$/i.test(answer ?? "")) {
      context.screen.remark("nothing was discarded");
      return exitCode.failed;
    }
  }
  return settle(choice, context, "discarded", (client, requestNumber, timeoutMs) =>
    callUnary(client.discardUpload.bind(client), { requestNumber }, timeoutMs),
  );
}

/** Does one thing to each letter, and tells of each. What one of them is refused does not keep it from the others. */
async function settle(
  choice: LetterChoice,
  context: CommandContext,
  done: "retried" | "discarded",
  act: (client: AdminClient, requestNumber: bigint, timeoutMs: number) => Promise<unknown>,
): Promise<number> {
  const { screen, json } = context;
  const all = choice.kind === "all";
  const numbers = all
    ? (await collect(Number.POSITIVE_INFINITY, context)).map(({ requestNumber }) => requestNumber)
    : choice.requestNumbers;
  if (numbers.length === 0 && !json) await screen.print("there are no dead letters");
  let refused = 0;
  await askAdmin(context, async (client, timeoutMs) => {
    for (const requestNumber of numbers) {
      const problem = await refusal(act(client, requestNumber, timeoutMs));
      if (problem !== undefined) refused += 1;
      if (json) {
        const facts = { requestNumber: jsonNumber(requestNumber), result: problem === undefined ? done : "refused" };
        await screen.print(JSON.stringify(problem === undefined ? facts : { ...facts, message: problem }));
      } else if (problem === undefined) await screen.print(`${done} ${requestNumber}`);
      if (problem !== undefined) {
        screen.remark(`${screen.paintSide("red", "error:")} ${requestNumber}: ${printable(problem)}`);
      }
    }
  });
  return refused === 0 ? exitCode.ok : exitCode.failed;
}

/** What the balancer says of an upload that is unknown or no dead letter; `undefined` when it agrees. Other failures are thrown. */
async function refusal(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    const { code, details } = error as Partial<ServiceError>;
    if (code === grpcStatus.NOT_FOUND || code === grpcStatus.FAILED_PRECONDITION) return details ?? "refused";
    throw error;
  }
}

async function collect(limit: number, context: CommandContext): Promise<DeadLetter[]> {
  return askAdmin(context, async (client, timeoutMs) => {
    const letters: DeadLetter[] = [];
    let pageToken = "";
    do {
      const request = { pageSize: Math.min(pageSize, limit - letters.length), pageToken, requestNumber: 0n };
      const page = await listPage(client, request, timeoutMs);
      letters.push(...page.deadLetters);
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && letters.length < limit);
    return letters;
  });
}

function listPage(client: AdminClient, request: ListDeadLettersRequest, timeoutMs: number) {
  return callUnary(client.listDeadLetters.bind(client), request, timeoutMs);
}
