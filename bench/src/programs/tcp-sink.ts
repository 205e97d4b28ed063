import { createServer } from "node:net";

// A process: takes whatever comes to the address in its first argument, and answers at the end how many bytes it was.
const [host, port] = (process.argv[2] ?? "").split(":");
const server = createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on("data", (data) => {
    bytes += data.length;
  });
  socket.on("end", () => socket.end(String(bytes)));
  socket.on("error", () => socket.destroy());
});
server.listen(Number(port), host);
