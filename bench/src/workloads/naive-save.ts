import { link, open, unlink } from "node:fs/promises";
import { join } from "node:path";

/** Saves files the plain durable way: for each a temp file, a flush, its name, and a flush of the directory; a number of them at once. */
export async function saveNaively(dir: string, filesCount: number, data: Buffer, concurrency: number): Promise<void> {
  let next = 1;
  const worker = async () => {
    while (next <= filesCount) {
      const name = join(dir, `${next++}_file.bin`);
      const temp = `${name}.tmp`;
      const file = await open(temp, "wx");
      await file.write(data);
      await file.sync();
      await file.close();
      await link(temp, name);
      await unlink(temp);
      const directory = await open(dir, "r");
      await directory.sync();
      await directory.close();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
