// Draws a dashboard's panels with Grafana's own components. Only the layout, and the choice of the component for each
// type of panel, are ours. Grafana publishes no component for state timelines.
import * as grafana from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { createRoot } from 'react-dom/client';
import { firstValueFrom } from 'rxjs';
import framesOf from '../../tests/dashboards/frames.cjs';

const UNIT = 30;
const GAP = 8;
const WIDTH = 1600;
const PADDING = 16;
const { dashboard, results, from, to } = JSON.parse(document.getElementById('answers').textContent);
const theme = grafana.createTheme({ colors: { mode: 'dark' } });
const range = {
  from: grafana.dateTime(from * 1000),
  to: grafana.dateTime(to * 1000),
  raw: { from: dashboard.time.from, to: dashboard.time.to },
};
const { frames, fieldOptions } = framesOf(grafana);
const options = fieldOptions();

function column(x) {
  return Math.round((x * (WIDTH - 2 * PADDING + GAP)) / 24);
}

function place({ x, y, w, h }) {
  return {
    left: PADDING + column(x),
    top: PADDING + y * (UNIT + GAP),
    width: column(x + w) - column(x) - GAP,
    height: h * (UNIT + GAP) - GAP,
  };
}

function values(panel, data) {
  return () =>
    grafana.getFieldDisplayValues({
      fieldConfig: panel.fieldConfig,
      reduceOptions: panel.options.reduceOptions,
      replaceVariables: (text) => text,
      theme,
      data,
      timeZone: 'utc',
    });
}

function Stat({ panel, data, width, height }) {
  const draw = ({ value, alignmentFactors, width, height, count }) => (
    <BigValue
      value={value.display}
      alignmentFactors={alignmentFactors}
      count={count}
      colorMode={panel.options.colorMode}
      graphMode={panel.options.graphMode}
      justifyMode={panel.options.justifyMode ?? 'auto'}
      textMode={panel.options.textMode}
      text={panel.options.text}
      width={width}
      height={height}
      theme={theme}
    />
  );
  return (
    <VizRepeater
      getValues={values(panel, data)}
      getAlignmentFactors={grafana.getDisplayValueAlignmentFactors}
      renderValue={draw}
      source={data}
      autoGrid
      orientation={panel.options.orientation}
      width={width}
      height={height}
      renderCounter={1}
    />
  );
}

function Bars({ panel, data, width, height }) {
  const draw = ({ value, alignmentFactors, orientation, width, height, count }) => (
    <BarGauge
      value={value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex)}
      alignmentFactors={count > 1 ? alignmentFactors : undefined}
      displayMode={panel.options.displayMode}
      valueDisplayMode={panel.options.valueMode}
      showUnfilled={panel.options.showUnfilled}
      text={panel.options.text}
      orientation={orientation}
      width={width}
      height={height}
      theme={theme}
    />
  );
  return (
    <VizRepeater
      getValues={values(panel, data)}
      getAlignmentFactors={grafana.getDisplayValueAlignmentFactors}
      renderValue={draw}
      source={data}
      minVizHeight={16}
      maxVizHeight={300}
      itemSpacing={10}
      orientation={panel.options.orientation}
      width={width}
      height={height}
      renderCounter={1}
    />
  );
}

function Content({ panel, data, width, height }) {
  const empty = data.every((frame) => frame.length === 0);
  if (panel.type === 'stat') {
    return <Stat panel={panel} data={data} width={width} height={height} />;
  }
  if (panel.type === 'bargauge') {
    return <Bars panel={panel} data={data} width={width} height={height} />;
  }
  if (empty) {
    return <p>{panel.fieldConfig.defaults.noValue}</p>;
  }
  if (panel.type === 'table') {
    return (
      <TableNG
        data={data[0]}
        width={width}
        height={height}
        cellHeight={panel.options.cellHeight}
        sortBy={panel.options.sortBy}
        fieldConfig={panel.fieldConfig}
        timeRange={range}
        structureRev={1}
        enableVirtualization={false}
      />
    );
  }
  return (
    <TimeSeries
      frames={data}
      width={width}
      height={height}
      timeRange={range}
      timeZone="utc"
      legend={panel.options.legend}
      structureRev={1}
    />
  );
}

async function prepared(panel) {
  const transformed = await firstValueFrom(
    grafana.transformDataFrame(panel.transformations ?? [], frames(panel, results[panel.id]))
  );
  const data = grafana.applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: options,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
  grafana.cacheFieldDisplayNames(data);
  if (panel.type === 'timeseries') {
    // The component loses the display names when it joins the series, and then colours lines by field names.
    for (const field of data.flatMap((frame) => frame.fields.filter(({ type }) => type === grafana.FieldType.number))) {
      field.name = field.state.displayName;
    }
  }
  return data;
}

function Drawn({ panel, data }) {
  const { left, top, width, height } = place(panel.gridPos);
  const position = { position: 'absolute', left, top, width, height };
  if (panel.type === 'row') {
    return <h2 style={{ ...position, margin: 0, fontSize: 16, lineHeight: '30px' }}>{panel.title}</h2>;
  }
  return (
    <div style={position}>
      <PanelChrome title={panel.title} description={panel.description} width={width} height={height} padding={panel.type === 'table' ? 'none' : 'md'}>
        {(innerWidth, innerHeight) => <Content panel={panel} data={data} width={innerWidth} height={innerHeight} />}
      </PanelChrome>
    </div>
  );
}

async function main() {
  const drawn = [];
  for (const panel of dashboard.panels) {
    drawn.push(<Drawn key={panel.id} panel={panel} data={panel.type === 'row' ? [] : await prepared(panel)} />);
  }
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => place(gridPos).top + place(gridPos).height));
  document.body.style.cssText = `width: ${WIDTH}px; height: ${bottom + PADDING}px; position: relative`;
  createRoot(document.getElementById('root')).render(
    <grafana.ThemeContext.Provider value={theme}>
      <GlobalStyles />
      {drawn}
    </grafana.ThemeContext.Provider>
  );
}

main();
