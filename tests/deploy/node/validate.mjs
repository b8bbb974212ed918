// Check the Prometheus operator's objects on standard input (a JSON array) against its published schemas.
// One line for each problem; exit 1 when there is one.
import { readFileSync } from "node:fs";
import * as models from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

let status = 0;
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    new models[object.kind](object).validate();
  } catch (error) {
    console.log(`${object.kind} ${object.metadata?.name}: ${error.message}`);
    status = 1;
  }
}
process.exitCode = status;
