// Shows query results as Grafana would: its own transformations, overrides, value formats, mappings and thresholds.
//
// Reads {panels, results} of each dashboard from standard input, results by panel id and reference of the query as
// Prometheus answered them, and writes for each panel the fields that would be drawn: name, and for every value its
// text, colour and link; for a number also what Grafana shows when there is none.
'use strict';

const { JSDOM } = require('jsdom');

const page = new JSDOM('', { url: 'http://localhost/' });
for (const name of Object.getOwnPropertyNames(page.window)) {
  if (!(name in globalThis)) {
    try {
      globalThis[name] = page.window[name];
    } catch {
      // some properties cannot be copied, and are not needed
    }
  }
}
globalThis.window = page.window;

const grafana = require('@grafana/data');
const { firstValueFrom } = require('rxjs');

const { frames, fieldOptions } = require('./frames.cjs')(grafana);

const options = fieldOptions();
const theme = grafana.createTheme({ colors: { mode: 'light' } });

function replaceVariables(text, scoped) {
  return text.replace(/\$\{__data\.fields\.(\w+)\}/g, (_, name) => {
    const { frame, rowIndex } = scoped.__dataContext.value;
    return grafana.getFieldDisplayValuesProxy({ frame, rowIndex })[name]?.text ?? 'MISSING';
  });
}

function value(field, row) {
  const shown = field.display(field.values[row]);
  const [link] = field.getLinks ? field.getLinks({ valueRowIndex: row }) : [];
  return { text: grafana.formattedValueToString(shown), colour: shown.color, link: link?.href };
}

function matched(override, data) {
  const matcher = grafana.fieldMatchers.get(override.matcher.id).get(override.matcher.options);
  return data.some((frame) => frame.fields.some((field) => matcher(field, frame, data)));
}

function nothing(panel) {
  const [{ display }] = grafana.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: { calcs: ['lastNotNull'] },
    replaceVariables: (text) => text,
    theme,
    data: [],
  });
  return { text: display.text, colour: display.color };
}

async function shown(panel, results) {
  const transformed = await firstValueFrom(
    grafana.transformDataFrame(panel.transformations ?? [], frames(panel, results))
  );
  const data = grafana.applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: options,
    replaceVariables,
    theme,
    timeZone: 'utc',
  });
  const rows = (frame) => (panel.type === 'table' ? [...Array(frame.length).keys()] : [frame.length - 1]);
  return {
    nothing: panel.type === 'stat' ? nothing(panel) : undefined,
    unmatched: panel.fieldConfig.overrides.filter((each) => !matched(each, data)).map((each) => each.matcher.options),
    frames: data.map((frame) =>
      frame.fields
        .filter((field) => panel.type === 'table' || field.type !== grafana.FieldType.time)
        .map((field) => ({
          name: grafana.getFieldDisplayName(field, frame, data),
          custom: field.config.custom ?? {},
          values: rows(frame).map((row) => value(field, row)),
        }))
    ),
  };
}

async function main() {
  let text = '';
  for await (const part of process.stdin) {
    text += part;
  }
  const all = {};
  for (const [name, { panels, results }] of Object.entries(JSON.parse(text))) {
    all[name] = {};
    for (const panel of panels) {
      all[name][panel.id] = await shown(panel, results[panel.id]);
    }
  }
  process.stdout.write(JSON.stringify(all));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
