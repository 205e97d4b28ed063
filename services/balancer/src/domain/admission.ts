import type { Rejection } from "./errors.js";
import type { UploadDescription } from "./upload.js";

/** What the queue takes at most. */
export interface QueueLimits {
  /** Files that are not yet stored. */
  readonly maxFiles: number;
  /** Bytes of these. */
  readonly maxBytes: number;
  /** Size of one file. */
  readonly maxFileBytes: number;
  /** What must stay free on the queue's disk. */
  readonly minFreeDiskBytes: number;
}

/** What the queue holds. */
export interface QueueUsage {
  readonly files: number;
  readonly bytes: number;
  /** What those who are sending have announced on top of it. */
  readonly comingBytes: number;
  /** Free space on the queue's disk, as last looked at; absent while it is not known. */
  readonly freeDiskBytes?: number | undefined;
}

/** How long a client should wait when the queue is full, in milliseconds. */
const queueFullRetryMs = 1_000;
/** Numbers are there again once a small file has been flushed. */
const numberRetryMs = 100;
/** Disks do not empty as fast as queues do. */
const diskFullRetryMs = 5_000;

/**
 * Decides whether a new upload is let in, before any byte of it is taken. Returns the reason against it, or `undefined`.
 */
export function admissionProblem(
  description: UploadDescription,
  usage: QueueUsage,
  limits: QueueLimits,
): Rejection | undefined {
  const sizeBytes = description.sizeBytes ?? 0;
  const tooLarge = sizeProblem(sizeBytes, limits);
  if (tooLarge) return tooLarge;
  if (usage.files >= limits.maxFiles) {
    return queueFull(`${usage.files} files are waiting; at most ${limits.maxFiles} may`);
  }
  const { freeDiskBytes } = usage;
  const comingBytes = usage.comingBytes + sizeBytes;
  if (usage.bytes + comingBytes > limits.maxBytes) {
    return queueFull(
      `${usage.bytes} bytes are waiting and ${comingBytes} would come; at most ${limits.maxBytes} may wait`,
    );
  }
  if (freeDiskBytes !== undefined && freeDiskBytes - comingBytes < limits.minFreeDiskBytes) {
    const message = `the balancer's disk is full: ${freeDiskBytes} bytes are free and ${comingBytes} would come; at least ${limits.minFreeDiskBytes} must stay free`;
    return { reason: "QUEUE_FULL", message, retryAfterMs: diskFullRetryMs };
  }
  return undefined;
}

/** Why a new upload is not let in for which there is no request number yet. */
export const noNumberYet: Rejection = {
  reason: "QUEUE_FULL",
  message: "new files come faster than request numbers can be reserved for them",
  retryAfterMs: numberRetryMs,
};

/** Whether a file is larger than may be; to be asked again as the bytes of a file of unknown size arrive. */
export function sizeProblem(sizeBytes: number, limits: QueueLimits): Rejection | undefined {
  if (sizeBytes <= limits.maxFileBytes) return undefined;
  return {
    reason: "TOO_LARGE",
    message: `the file has at least ${sizeBytes} bytes; expected at most ${limits.maxFileBytes}`,
  };
}

function queueFull(detail: string): Rejection {
  return { reason: "QUEUE_FULL", message: `the queue is full: ${detail}`, retryAfterMs: queueFullRetryMs };
}
