import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { basename, join } from "node:path";

// Loaded into each process by `--profile`: a CPU profile from its start to its end. Node takes no --cpu-prof from NODE_OPTIONS.
const dir = process.env.BENCH_PROFILE_DIR;
if (dir !== undefined) {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.start");
  process.on("exit", () => {
    session.post("Profiler.stop", (error, stopped) => {
      if (error) throw error;
      const file = `${basename(process.argv[1] ?? "node", ".js")}-${process.pid}.cpuprofile`;
      writeFileSync(join(dir, file), JSON.stringify(stopped.profile));
    });
  });
}
