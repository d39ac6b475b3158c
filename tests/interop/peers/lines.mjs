// One line of JSON in, one line of JSON out: {"verb": ..., ...} gives {"value": ...} or {"error": ...}.
// Bytes travel as hex.

import { createInterface } from "node:readline";

export const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));
export const hex = (data) => Buffer.from(data).toString("hex");

export async function serve(verbs) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { verb, ...said } = JSON.parse(line);
    let answer;
    try {
      answer = { value: (await verbs[verb](said)) ?? null };
    } catch (error) {
      answer = { error: `${error.name}: ${error.message}` };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}
