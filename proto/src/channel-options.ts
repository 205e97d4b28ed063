import type { ChannelOptions } from "@grpc/grpc-js";
import { maxMessageBytes } from "./limits.js";
import type { ShareLimits } from "./window-shares.js";

/**
 * HTTP/2 receive window, in bytes, of a stream and of a connection; see `flow-control.ts` for the server's side, where it can grow. Node gives it back
 * when half of it is used up, so that half of it is what a sender has in a round trip: 4 MiB in 20 ms are 200 MiB/s.
 */
export const flowControlWindowBytes = 8 * 1024 * 1024;

/** The receive window, in bytes, that HTTP/2 gives each connection, and that it cannot be given less of. */
export const leastConnectionBytes = 65_535;

/**
 * Receive windows of a server: of a connection, and of all together; of one whose way is long, and what these have together besides. 24 MiB are 1
 * Gbit/s at a round trip of 80 ms. A client that has uploaded nothing for 30 s loses little by having to connect anew.
 */
export const receiveWindows: ShareLimits = {
  leastBytes: 16 * 1024,
  mostBytes: flowControlWindowBytes,
  totalBytes: 3 * flowControlWindowBytes,
  widestBytes: 3 * flowControlWindowBytes,
  totalMoreBytes: 3 * flowControlWindowBytes,
  restingBytes: leastConnectionBytes,
  restMs: 30_000,
};

/** Options of every channel: uploads from clients, save streams and probes from the balancer. */
export const channelOptions: ChannelOptions = {
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  // Uploads are retried by upload id; grpc's own retries would buffer what they can never send again.
  "grpc.enable_retries": 0,
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  // A server that was restarted is wanted back at once, not after grpc's default of up to two minutes.
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.min_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc-node.flow_control_window": flowControlWindowBytes,
  "grpc.enable_channelz": 0,
};

/** Options of every server. */
export const serverOptions: ChannelOptions = {
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc.max_concurrent_streams": 1_000,
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.enable_channelz": 0,
};
