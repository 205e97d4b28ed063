import {
  type Candidate,
  type Choice,
  ChoiceReason,
  choiceReasonToJSON,
  serverStateToJSON,
} from "@bilancia/proto/gen/admin";
import { fromTimestamp } from "@bilancia/proto/time";
import { counted, humanBytes, humanCount, humanDuration } from "./human.js";
import { type Json, jsonNumber, jsonTime } from "./json.js";
import type { Screen } from "./screen.js";
import { type Column, renderTable } from "./table.js";

/** Why a file went to a server, as a few sentences. */
export function choiceSentences(choice: Choice): string {
  return [opening(choice), ...others(choice)].join(" ");
}

/** The servers of a choice, a line each, for people. */
export function choiceTable({ candidates, server, at }: Choice, screen: Screen): string {
  const atMs = at ? fromTimestamp(at) : 0;
  const figures = candidates.some(({ before }) => before !== undefined);
  const columns: Column<Candidate>[] = [
    { title: "server", text: ({ server: name }) => (name === server ? `${name} *` : name), minWidth: 12 },
    { title: "weight", align: "right", text: weightText, dropOrder: 1 },
    {
      title: "state",
      text: (candidate) => (candidate.refused ? `${stateName(candidate)}, refused it` : stateName(candidate)),
      style: ({ server: name, compared }) => (name === server ? "green" : compared ? undefined : "yellow"),
    },
    { title: "for", align: "right", text: (candidate) => sinceText(candidate, atMs), dropOrder: 5 },
    {
      title: "in flight",
      align: "right",
      text: ({ inFlightFiles, maxInFlightFiles }) => `${humanCount(inFlightFiles)}/${humanCount(maxInFlightFiles)}`,
      dropOrder: 6,
    },
    { title: "bytes", align: "right", text: ({ inFlightBytes }) => humanBytes(inFlightBytes), dropOrder: 7 },
  ];
  if (figures) {
    columns.push(
      { title: "before", align: "right", text: ({ before }) => figure(before), dropOrder: 3 },
      { title: "after", align: "right", text: ({ after }) => figure(after), dropOrder: 2 },
    );
  }
  columns.push({ title: "why", text: ({ stateReason }) => stateReason || "-", minWidth: 10, dropOrder: 4 });
  return renderTable(columns, candidates, screen);
}

/** A choice for programs. */
export function choiceJson(choice: Choice): Json {
  return {
    attempt: choice.attempt,
    at: jsonTime(choice.at),
    waitedMs: jsonNumber(choice.waitedMs),
    server: choice.server,
    reason: choiceReasonToJSON(choice.reason).replace("CHOICE_REASON_", "").toLowerCase(),
    policy: choice.policy,
    sizeBytes: choice.sizeBytes === undefined ? null : jsonNumber(choice.sizeBytes),
    sentence: choiceSentences(choice),
    candidates: choice.candidates.map((candidate) => ({
      server: candidate.server,
      state: stateName(candidate),
      stateSince: jsonTime(candidate.stateSince),
      stateReason: candidate.stateReason,
      weight: candidate.weight,
      effectiveWeight: candidate.effectiveWeight,
      inFlightFiles: candidate.inFlightFiles,
      inFlightBytes: jsonNumber(candidate.inFlightBytes),
      maxInFlightFiles: candidate.maxInFlightFiles,
      refused: candidate.refused,
      compared: candidate.compared,
      before: candidate.before ?? null,
      after: candidate.after ?? null,
    })),
  };
}

function opening(choice: Choice): string {
  const { attempt, server, waitedMs, sizeBytes } = choice;
  const size = sizeBytes === undefined ? "" : `, ${humanBytes(sizeBytes)},`;
  const waited = humanDuration(Number(waitedMs));
  return `Attempt ${attempt}: the file${size} went to ${server} after ${waited}, ${because(choice)}.`;
}

function because(choice: Choice): string {
  const { reason, server, policy, candidates } = choice;
  const chosen = candidates.find((candidate) => candidate.server === server);
  switch (reason) {
    case ChoiceReason.CHOICE_REASON_CLAIMED:
      return "because that server had claimed it";
    case ChoiceReason.CHOICE_REASON_MAY_HOLD:
      return "because its answer to an earlier attempt was lost: it may hold the file already, and is asked before any other";
    case ChoiceReason.CHOICE_REASON_SPILLED:
      return `although it was ${chosen ? stateName(chosen) : "not available"}: no server was available, and it was the least bad`;
    default:
      return turn(
        policy,
        chosen,
        candidates.filter(({ compared }) => compared),
      );
  }
}

/** What the policy went by. */
function turn(policy: string, chosen: Candidate | undefined, compared: readonly Candidate[]): string {
  if (!chosen || compared.length <= 1) return "the only one that could be given it";
  const rivals = compared.filter(({ server }) => server !== chosen.server);
  if (policy === "least_load") {
    const [other] = rivals;
    return `of the two that were drawn the one with less on its way for its weight: ${bytesFigure(chosen)} per unit of weight, ${other?.server} ${bytesFigure(other)}`;
  }
  // A server that is not picked keeps what it has grown to; the one that is pays for all.
  const highest = rivals.reduce((best, rival) => ((rival.after ?? 0) > (best.after ?? 0) ? rival : best));
  const what = policy === "byte_weighted" ? "by bytes" : "by files";
  return `whose turn it was ${what}: among ${counted(compared.length, "server")} it stood highest by its weight, the next was ${highest.server} at ${figure(highest.after)}`;
}

/** Those that were not considered, and why. */
function others({ candidates, server, at }: Choice): string[] {
  const atMs = at ? fromTimestamp(at) : 0;
  const left = candidates.filter((candidate) => candidate.server !== server && !candidate.compared);
  return [
    ...left.map((candidate) => {
      const name = candidate.server;
      if (candidate.refused) return `${name} was left out: it had refused this file.`;
      const state = stateName(candidate);
      if (state === "available") return `${name} was not asked.`;
      const since = sinceText(candidate, atMs);
      const span = since === "-" ? "" : ` for ${since}`;
      return `${name} was left out: ${state}${span} (${candidate.stateReason}).`;
    }),
    ...candidates
      .filter(({ weight, effectiveWeight }) => effectiveWeight !== weight)
      .map(
        (candidate) =>
          `${candidate.server} counted with ${figure(candidate.effectiveWeight)} of its weight ${candidate.weight}.`,
      ),
  ];
}

function bytesFigure(candidate: Candidate | undefined): string {
  return humanBytes(Math.round(candidate?.before ?? 0));
}

function stateName({ state }: Candidate): string {
  return serverStateToJSON(state).replace("SERVER_STATE_", "").toLowerCase();
}

function sinceText({ stateSince }: Candidate, atMs: number): string {
  return stateSince ? humanDuration(Math.max(0, atMs - fromTimestamp(stateSince))) : "-";
}

function weightText({ weight, effectiveWeight }: Candidate): string {
  return effectiveWeight === weight ? String(weight) : `${weight} (${figure(effectiveWeight)})`;
}

function figure(value: number | undefined): string {
  return value === undefined ? "-" : value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}
