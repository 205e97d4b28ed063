import { UploadState as StateCode } from "@bilancia/proto/gen/balancer";
import type { UploadState } from "../domain/upload.js";

/** The states of an upload as the wire names them. */
export const uploadStateCodes: Record<UploadState["kind"], StateCode> = {
  receiving: StateCode.UPLOAD_STATE_RECEIVING,
  queued: StateCode.UPLOAD_STATE_QUEUED,
  dispatching: StateCode.UPLOAD_STATE_DISPATCHING,
  stored: StateCode.UPLOAD_STATE_STORED,
  dead: StateCode.UPLOAD_STATE_DEAD,
};
