import { createRequire } from "node:module";
import { framed } from "./message-prefix.js";
import { errorCode } from "./system-error.js";

/** What puts the prefix in front of a message in grpc-js, where it is not compressed. */
interface IdentityHandler {
  writeMessage(message: Buffer, compress: boolean): Promise<Buffer>;
}

interface CompressionModule {
  CompressionFilter?: new (options: object, shared: object) => { sendCompression?: Partial<IdentityHandler> };
}

const compressionModule = "@grpc/grpc-js/build/src/compression-filter.js";
const patched = new WeakSet<object>();

/**
 * Lets all clients of this process send a message that has its prefix in front of it as it lies there. grpc-js copies every message to put five
 * bytes in front of it. Where grpc-js is not as expected, it stays as it is.
 *
 * @returns whether it is so now
 */
export function sendInPlace(): boolean {
  const handler = identityHandler();
  if (handler === undefined) return false;
  if (patched.has(handler)) return true;
  const stock = handler.writeMessage;
  handler.writeMessage = function (message, compress) {
    const whole = compress ? undefined : framed(message);
    return whole ? Promise.resolve(whole) : stock.call(this, message, compress);
  };
  patched.add(handler);
  return true;
}

/** The prototype that all handlers without compression share. */
function identityHandler(): IdentityHandler | undefined {
  const { CompressionFilter } = loadCompression();
  if (typeof CompressionFilter !== "function") return undefined;
  const { sendCompression } = new CompressionFilter({}, {});
  const handler: unknown = sendCompression && Object.getPrototypeOf(sendCompression);
  return typeof (handler as Partial<IdentityHandler> | undefined)?.writeMessage === "function"
    ? (handler as IdentityHandler)
    : undefined;
}

function loadCompression(): CompressionModule {
  try {
    return createRequire(import.meta.url)(compressionModule);
  } catch (error) {
    if (errorCode(error) === "MODULE_NOT_FOUND" || errorCode(error) === "ERR_PACKAGE_PATH_NOT_EXPORTED") return {};
    throw error;
  }
}
