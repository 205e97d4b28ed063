import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** V8's collector of garbage, from within a process that was started without the flag for it. A call collects all of it. */
export function findCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
