import { PassThrough } from "node:stream";
import type { Screen } from "../output/screen.js";

/** A screen without colours that keeps what is written. */
export function plainScreen(columns?: number): Screen & { readonly printed: string[]; readonly remarks: string[] } {
  const printed: string[] = [];
  const remarks: string[] = [];
  return {
    columns,
    side: new PassThrough(),
    printed,
    remarks,
    async print(text) {
      printed.push(text);
    },
    remark: (text) => void remarks.push(text),
    paint: (_style, text) => text,
    paintSide: (_style, text) => text,
  };
}
