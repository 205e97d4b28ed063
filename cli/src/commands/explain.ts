import { existsSync } from "node:fs";
import type { ExplainResponse } from "@bilancia/proto/gen/admin";
import { uploadStateToJSON } from "@bilancia/proto/gen/balancer";
import { fromTimestamp } from "@bilancia/proto/time";
import { callUnary } from "@bilancia/proto/unary";
import { BalancerError } from "../client/errors.js";
import { attemptFact, attemptJson } from "../output/attempts.js";
import { choiceJson, choiceSentences, choiceTable } from "../output/choice-report.js";
import { renderFacts } from "../output/facts.js";
import { humanCount, printable } from "../output/human.js";
import { type Json, jsonNumber, jsonTime } from "../output/json.js";
import { askAdmin } from "./admin-request.js";
import { type CommandContext, exitCode } from "./command-context.js";
import { trace } from "./trace.js";

/**
 * Tells why an upload went where it went. Where the choice is not remembered any more, tells what is left: the attempts, and the audit where it is at hand. Returns the exit
 * code: 1 where nothing is known of the upload, or nothing more than that it exists.
 *
 * @throws UnreachableError, BalancerError
 */
export async function explain(requestNumber: bigint, audit: string, context: CommandContext): Promise<number> {
  const { screen, json } = context;
  let answer: ExplainResponse;
  try {
    answer = await askAdmin(context, (client, timeoutMs) =>
      callUnary(client.explain.bind(client), { requestNumber }, timeoutMs),
    );
  } catch (error) {
    if (!(error instanceof BalancerError) || error.code !== "NOT_FOUND") throw error;
    screen.remark(
      `${screen.paintSide("red", "error:")} the balancer knows no upload with the request number ${requestNumber}`,
    );
    return exitCode.failed;
  }
  if (json) {
    await screen.print(JSON.stringify(answerJson(answer)));
    return answer.choices.length > 0 ? exitCode.ok : exitCode.failed;
  }
  await screen.print(screen.paint("bold", printable(`request ${requestNumber}  ${answer.name}  ${answer.uploadId}`)));
  for (const choice of answer.choices) {
    await screen.print(`\n${printable(choiceSentences(choice))}\n\n${choiceTable(choice, screen)}`);
  }
  const remembered = new Set(answer.choices.map(({ attempt }) => attempt));
  const forgotten = answer.attempts.filter(({ number }) => !remembered.has(number));
  if (forgotten.length > 0) await screen.print(`\n${renderFacts(forgotten.map(attemptFact), screen)}`);
  if (answer.choices.length > 0 && forgotten.length === 0) return exitCode.ok;
  if (answer.attempts.length === 0 && answer.choices.length === 0) {
    await screen.print(`no server has been chosen for it yet: it is ${stateName(answer)}`);
    return exitCode.failed;
  }
  await screen.print(`\n${forgottenWords(answer)}`);
  if (answer.choices.length > 0) return exitCode.ok;
  if (existsSync(audit)) {
    await screen.print("\nWhat the audit has:");
    return trace({ requestNumber }, audit, context);
  }
  screen.remark(`what the audit has is shown by: lb-cli trace ${requestNumber} --audit FILE`);
  return exitCode.failed;
}

function forgottenWords({ keptChoices, keptSince }: ExplainResponse): string {
  const kept =
    keptSince === undefined
      ? "none are kept at present (picks.keep)"
      : `it keeps the last ${humanCount(keptChoices)}, since ${new Date(fromTimestamp(keptSince)).toISOString()}`;
  return `Why is not known any more: the balancer remembers choices in memory only, and ${kept}.`;
}

function stateName({ state }: ExplainResponse): string {
  return uploadStateToJSON(state).replace("UPLOAD_STATE_", "").toLowerCase();
}

function answerJson(answer: ExplainResponse): Json {
  return {
    requestNumber: jsonNumber(answer.requestNumber),
    uploadId: answer.uploadId,
    name: answer.name,
    state: stateName(answer),
    attempts: answer.attempts.map(attemptJson),
    choices: answer.choices.map(choiceJson),
    keptChoices: answer.keptChoices,
    keptSince: jsonTime(answer.keptSince),
  };
}
