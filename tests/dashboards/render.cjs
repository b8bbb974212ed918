// Shows query results as Grafana would: its own transformations, overrides, value formats, mappings and thresholds.
//
// Reads {panels, results, now} from standard input, results by panel id and reference of the query as Prometheus
// answered them, and writes for each panel the fields that would be drawn: name, and for every value its text,
// colour and link. Nothing of Grafana is imitated here but what turns Prometheus' answers into data frames, which its
// Prometheus data source does, and the list of options that a panel knows.
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

const STANDARD = ['displayName', 'unit', 'decimals', 'min', 'max', 'mappings', 'thresholds', 'color', 'noValue', 'links'];
const CUSTOM = ['width', 'cellOptions', 'filterable', 'lineStyle'];

function option(id, isCustom) {
  return {
    id: isCustom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom,
    process: (value) => value,
    shouldApply: () => true,
    getItemsCount: () => 0,
  };
}

// Some transformations stand there under an old name too.
const transformers = new Map(Object.values(grafana.standardTransformers).map((each) => [each.id, each]));
grafana.standardTransformersRegistry.setInit(() =>
  [...transformers].map(([id, transformation]) => ({ id, name: transformation.name, transformation: async () => transformation }))
);
const options = new grafana.FieldConfigOptionsRegistry(() => [
  ...STANDARD.map((id) => option(id, false)),
  ...CUSTOM.map((id) => option(id, true)),
]);
grafana.standardFieldConfigEditorRegistry.setInit(() => STANDARD.map((id) => option(id, false)));
grafana.locationUtil.initialize({
  config: { appSubUrl: '', appUrl: 'http://localhost/' },
  getVariablesUrlParams: () => ({}),
  getTimeRangeForUrl: () => ({ from: 'now-1h', to: 'now' }),
});

const theme = grafana.createTheme({ colors: { mode: 'light' } });

function legend(format, labels) {
  if (format === '__auto') {
    return undefined;
  }
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => labels[label] ?? '');
}

// As the data source does for the format "time_series": a frame for each series.
function seriesFrames(target, answer) {
  return answer.map((series) => {
    const samples = series.values ?? [series.value];
    const name = legend(target.legendFormat, series.metric);
    return grafana.createDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: grafana.FieldType.time, config: {}, values: samples.map(([time]) => time * 1000) },
        {
          name: 'Value',
          type: grafana.FieldType.number,
          config: name ? { displayNameFromDS: name } : {},
          labels: series.metric,
          values: samples.map(([, value]) => Number(value)),
        },
      ],
    });
  });
}

// As the data source does for the format "table": a frame for each query, with a column for each label.
function tableFrame(target, answer, several) {
  const labels = [...new Set(answer.flatMap((series) => Object.keys(series.metric).sort()))];
  return grafana.createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: grafana.FieldType.time, config: {}, values: answer.map(({ value }) => value[0] * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: grafana.FieldType.string,
        config: { filterable: true },
        values: answer.map(({ metric }) => metric[label] ?? ''),
      })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: grafana.FieldType.number,
        config: {},
        values: answer.map(({ value }) => Number(value[1])),
      },
    ],
  });
}

function frames(panel, results) {
  const answered = panel.targets.filter((target) => results[target.refId].length > 0);
  return answered.flatMap((target) =>
    target.format === 'table'
      ? [tableFrame(target, results[target.refId], answered.length > 1)]
      : seriesFrames(target, results[target.refId])
  );
}

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
  const { panels, results } = JSON.parse(text);
  const all = {};
  for (const panel of panels) {
    all[panel.id] = await shown(panel, results[panel.id]);
  }
  process.stdout.write(JSON.stringify(all));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
