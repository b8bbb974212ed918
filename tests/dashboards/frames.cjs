// Prepares Grafana's data library: what turns Prometheus' answers into data frames, which Grafana's Prometheus data
// source does, and the list of options that a panel knows. All else that is done with them is the library's own work.
'use strict';

const STANDARD = ['displayName', 'unit', 'decimals', 'min', 'max', 'mappings', 'thresholds', 'color', 'noValue', 'links'];
const CUSTOM = [
  'width',
  'cellOptions',
  'filterable',
  'align',
  'lineStyle',
  'lineWidth',
  'fillOpacity',
  'showPoints',
  'stacking',
  'thresholdsStyle',
];

module.exports = function framesOf(grafana) {
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
    [...transformers].map(([id, transformation]) => ({
      id,
      name: transformation.name,
      transformation: async () => transformation,
    }))
  );
  grafana.standardFieldConfigEditorRegistry.setInit(() => STANDARD.map((id) => option(id, false)));
  grafana.locationUtil.initialize({
    config: { appSubUrl: '', appUrl: 'http://localhost/' },
    getVariablesUrlParams: () => ({}),
    getTimeRangeForUrl: () => ({ from: 'now-1h', to: 'now' }),
  });

  function fieldOptions() {
    return new grafana.FieldConfigOptionsRegistry(() => [
      ...STANDARD.map((id) => option(id, false)),
      ...CUSTOM.map((id) => option(id, true)),
    ]);
  }

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

  return { frames, fieldOptions };
};
