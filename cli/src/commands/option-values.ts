import { InvalidArgumentError } from "commander";

/** Readers of option values. They throw `InvalidArgumentError`: commander puts the option's name and what came before the words. */

const largestCount = 10_000_000;

/** How many files: a whole number from 1. */
export function parseCount(text: string): number {
  return wholeNumber(text, 1, largestCount);
}

/** A request number: a whole number from 1, of 64 bits. */
export function parseRequestNumber(text: string): bigint {
  const number = /^[0-9]{1,20}$/.test(text) ? BigInt(text) : 0n;
  if (number < 1n || number >= 2n ** 64n)
    throw new InvalidArgumentError(`expected a request number from 1; got '${text}'`);
  return number;
}

/** The largest file that a balancer takes whose conformance is tried, in bytes: a whole number from 64 MiB, which other checks need, to 1 GiB. */
export function parseLargestFile(text: string): number {
  return wholeNumber(text, 64 * 1024 ** 2, 1024 ** 3);
}

/** How many files its queue takes: a whole number from 400, which other checks need. */
export function parseQueueFiles(text: string): number {
  return wholeNumber(text, 400, largestCount);
}

/** A server's weight: a whole number from 1 to 256. */
export function parseWeight(text: string): number {
  return wholeNumber(text, 1, 256);
}

/** Weights of servers: `a=5,b=1`, each from 1 to 256. */
export function parseWeights(text: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const part of text.split(",")) {
    const [, name, weight] = /^([^=]+)=([^=]*)$/.exec(part.trim()) ?? [];
    if (name === undefined || weight === undefined)
      throw new InvalidArgumentError(`expected NAME=WEIGHT, for example a=5,b=1; got '${part}'`);
    if (weights.has(name)) throw new InvalidArgumentError(`expected each server once; got ${name} twice`);
    weights.set(name, parseWeight(weight));
  }
  return weights;
}

/** A seed: a whole number of 32 bits. */
export function parseSeed(text: string): number {
  return wholeNumber(text, 0, 2 ** 32 - 1);
}

/** A time in seconds, returned in milliseconds. */
export function parseSeconds(text: string): number {
  return seconds(text, 0);
}

/** The same of a time that something is waited for: in none nothing ever comes. */
export function parseTimeout(text: string): number {
  return seconds(text, 0.1);
}

/** `host:port`, with IPv6 addresses in brackets. */
export function parseAddress(text: string): string {
  const port = /^(?:\[[0-9a-f:.]+\]|[^\s:/[\]]+):(\d{1,5})$/i.exec(text)?.[1];
  if (port === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new InvalidArgumentError(`expected host:port, for example 127.0.0.1:50051; got '${text}'`);
  return text;
}

function seconds(text: string, least: number): number {
  const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= 86_400))
    throw new InvalidArgumentError(`expected seconds from ${least} to 86400; got '${text}'`);
  return number * 1000;
}

function wholeNumber(text: string, least: number, most: number): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= most))
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}; got '${text}'`);
  return number;
}
