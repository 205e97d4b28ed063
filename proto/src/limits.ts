/**
 * The wire's limits: what every client, balancer and storage server may rely on. They stand in the comments of the
 * `.proto` files too; a change here is a change of the contract.
 */

/** Largest data of one part, in bytes. */
export const maxPartDataBytes = 256 * 1024;

/** Most parts in one message. */
export const maxPartsPerMessage = 64;

/** A sender closes a message once it holds this much data, in bytes. */
export const batchTargetBytes = 256 * 1024;

/** Largest message anyone accepts, in bytes. */
export const maxMessageBytes = 1024 * 1024;

/** Largest file name, in bytes of UTF-8. */
export const maxNameBytes = 200;

/** Most labels of one file. */
export const maxLabels = 16;

/** Largest key of a label, in bytes of UTF-8. */
export const maxLabelKeyBytes = 64;

/** Largest value of a label, in bytes of UTF-8. */
export const maxLabelValueBytes = 256;

/** Largest content type, in bytes of UTF-8. */
export const maxContentTypeBytes = 128;

/** Largest file size that can be spoken of, in bytes: sizes and offsets are uint64 on the wire, but exact in JavaScript up to here. */
export const maxFileBytes = Number.MAX_SAFE_INTEGER;

/** Length of a SHA-256, in bytes. */
export const sha256Bytes = 32;
