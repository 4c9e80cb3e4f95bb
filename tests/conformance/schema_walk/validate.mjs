// SPDX-License-Identifier: Apache-2.0
//
// An independent judge of what schema_walk wrote: every text is JSON and, for Ajv, valid.
//
//     node validate.mjs schemas.jsonl texts.jsonl
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const lines = (file) => readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
const schemas = lines(process.argv[2]).map((line) => JSON.parse(line));
const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 12 });
addFormats(ajv);
const judges = schemas.map((schema) => ajv.compile(schema));

const tally = schemas.map(() => ({ valid: 0, cut: 0, refused: "" }));
let wrong = 0;
for (const line of lines(process.argv[3])) {
  const { schema: n, text, cut, refused } = JSON.parse(line);
  if (refused) tally[n].refused = refused;
  else if (cut) tally[n].cut++;
  else {
    let value, why;
    try {
      value = JSON.parse(text);
      why = judges[n](value) ? "" : ajv.errorsText(judges[n].errors);
    } catch (e) {
      why = e.message;
    }
    if (why === "") tally[n].valid++;
    else {
      wrong++;
      console.error(`schema ${n} ${JSON.stringify(schemas[n])}: ${text}: ${why}`);
    }
  }
}
console.log(JSON.stringify({ wrong, tally }));
