import assert from "node:assert/strict";
import { test } from "node:test";

import { emptyForm, type Form } from "../form.ts";
import { Recall } from "../recall.ts";

const form = (text: string, more: Partial<Form> = {}): Form => ({ ...emptyForm("shell"), text, ...more });

test("recall walks back and forth, and returns to what was typed", () => {
  const earlier = [form("a"), form("b", { stdin: true }), form("a"), form("c")];
  const recall = new Recall(() => earlier);
  const draft = form("typed");
  assert.equal(recall.step(1, draft), undefined);
  const back = [recall.step(-1, draft), recall.step(-1, draft), recall.step(-1, draft), recall.step(-1, draft)];
  assert.deepEqual(back.map((form) => form?.text), ["c", "a", "b", undefined], "equal ones once");
  assert.equal(back[2]?.stdin, true);
  const forth = [recall.step(1, draft), recall.step(1, draft), recall.step(1, draft), recall.step(1, draft)];
  assert.deepEqual(forth.map((form) => form?.text), ["a", "c", "typed", undefined]);
});

test("recall skips what is shown already", () => {
  const recall = new Recall(() => [form("a"), form("b")]);
  assert.equal(recall.step(-1, form("b"))?.text, "a");
});
