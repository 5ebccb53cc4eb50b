// Panels from what Grafana publishes. State timeline and heat map are not published: `Bars` and
// `Cells` stand in for them, with Grafana's own colours, names and values.
import * as data from '@grafana/data';
import * as ui from '@grafana/ui';
import * as unstable from '@grafana/ui/unstable';

const D: any = data;
const U: any = ui;
const DEFAULTS = {
  drawStyle: 'line', lineWidth: 1, fillOpacity: 0, showPoints: 'auto', spanNulls: false,
  lineInterpolation: 'linear', axisPlacement: 'auto', pointSize: 5,
};
const OTHERS = `thresholdsStyle scaleDistribution stacking hideFrom axisSoftMin axisSoftMax align inspect
  cellOptions filterable width minWidth axisLabel gradientMode lineStyle`;

function plugin(component: any) {
  return new data.PanelPlugin<any>(component).useFieldConfig({
    useCustomConfig: (builder: any) => {
      const custom = (path: string, defaultValue?: any) =>
        builder.addCustomEditor({
          id: path, path, name: path, defaultValue, editor: () => null, override: () => null,
          process: (value: any) => value, settings: {}, shouldApply: () => true,
        });
      Object.entries(DEFAULTS).forEach(([path, value]) => custom(path, value));
      OTHERS.split(/\s+/).forEach((path) => custom(path));
    },
  });
}

const reduced = (panel: any, theme: any) =>
  D.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: panel.replaceVariables,
    theme,
    data: panel.data.series,
    sparkline: panel.options.graphMode === 'area',
    timeZone: 'utc',
  });

function repeated(panel: any, theme: any, render: any, orientation: string, minVizHeight?: number) {
  return (
    <U.VizRepeater
      getValues={() => reduced(panel, theme)}
      getAlignmentFactors={(values: any) => D.getDisplayValueAlignmentFactors(values)}
      renderValue={render}
      width={panel.width}
      height={panel.height}
      source={panel.data}
      itemSpacing={3}
      autoGrid={orientation === 'auto'}
      orientation={orientation}
      renderCounter={panel.renderCounter}
      minVizHeight={minVizHeight}
      maxVizHeight={minVizHeight && 28}
    />
  );
}

const numbers = (panel: any): any[] =>
  panel.data.series.map((frame: any) => {
    const field = frame.fields.find((each: any) => each.type === 'number');
    return { times: frame.fields[0].values, field, name: D.getFieldDisplayName(field, frame, panel.data.series) };
  });

/** The times of a panel, from left to right in pixels. */
const across = (panel: any, left: number) => {
  const [from, to] = [panel.timeRange.from.valueOf(), panel.timeRange.to.valueOf()];
  return (time: number) => left + ((time - from) / (to - from)) * (panel.width - left);
};

const AXIS = 20; // pixels below for the times
const CLEAR = /^transparent$|,\s*0\)$|^#(.{6}00|.{3}0)$/i;

function Bars({ panel }: any) {
  const rows = numbers(panel).sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const left = Math.min(170, 20 + 7 * Math.max(...rows.map((row) => row.name.length)));
  const x = across(panel, left);
  const height = Math.min(34, (panel.height - AXIS) / rows.length);
  return (
    <svg width={panel.width} height={panel.height}>
      {rows.map(({ name, times, field }, index) => {
        const step = Math.min(...times.slice(1).map((time: number, at: number) => time - times[at]));
        const starts = times.map((_: any, at: number) => at).filter((at: number) => !at || field.values[at] !== field.values[at - 1] || times[at] - times[at - 1] > 1.5 * step);
        return (
          <g key={name} transform={`translate(0 ${index * height})`}>
            <text x={0} y={height / 2 + 4} fill="#ccccdc" fontSize={11}>{name}</text>
            {starts.map((at: number, nth: number) => {
              const shown = field.display(field.values[at]);
              const last = times[(starts[nth + 1] ?? times.length) - 1];
              const wide = Math.max(1, Math.min(panel.width, x(last + (Number.isFinite(step) ? step : 0))) - x(times[at]));
              return (
                <g key={at}>
                  <rect x={x(times[at])} y={2} width={wide} height={Math.max(2, height - 4)} fill={shown.color} fillOpacity={0.8} />
                  {wide > 60 && height > 13 && (
                    <text x={x(times[at]) + 6} y={height / 2 + 4} fill={CLEAR.test(shown.color) ? '#8e8e98' : '#111217'} fontSize={11}>{shown.text}</text>
                  )}
                </g>
              );
            })}
          </g>
        );
      })}
      <Times panel={panel} left={left} />
    </svg>
  );
}

function Cells({ panel }: any) {
  const rows = numbers(panel).reverse();
  const most = Math.max(...rows.flatMap((row) => [...row.field.values]));
  const x = across(panel, 70);
  const height = (panel.height - AXIS) / rows.length;
  const fill = data.createTheme({ colors: { mode: 'dark' } }).visualization.getColorByName(panel.options.color.fill);
  return (
    <svg width={panel.width} height={panel.height}>
      {rows.map(({ name, times, field }, index) => (
        <g key={name}>
          <text x={62} y={(index + 0.5) * height + 4} fill="#ccccdc" fontSize={11} textAnchor="end">{name}</text>
          {times.map((time: number, at: number) => {
            const share = Math.pow(field.values[at] / most, panel.options.color.exponent);
            const wide = Math.max(1, x(times[1] ?? time) - x(times[0]));
            return (
              <rect key={time} x={x(time)} y={index * height} width={wide} height={Math.max(1, height - 1)} fill={fill} fillOpacity={share} />
            );
          })}
        </g>
      ))}
      <Times panel={panel} left={70} />
    </svg>
  );
}

/** The times below a panel, a few of them. */
function Times({ panel, left }: any) {
  const [from, to] = [panel.timeRange.from.valueOf(), panel.timeRange.to.valueOf()];
  const x = across(panel, left);
  const every = [60e3, 300e3, 900e3, 3600e3, 3 * 3600e3].find((each) => (to - from) / each <= 9) ?? 6 * 3600e3;
  const marks = [];
  for (let time = Math.ceil(from / every) * every; time < to && x(time) < panel.width - 15; time += every) {
    marks.push(time);
  }
  return marks.map((time) => (
    <text key={time} x={x(time)} y={panel.height - 3} fill="#ccccdc" fontSize={11} textAnchor="middle">
      {new Date(time).toISOString().slice(11, 16)}
    </text>
  ));
}

export function panels(theme: any): Record<string, any> {
  const kinds: Record<string, any> = {
    timeseries: (panel: any) => (
      <U.TimeSeries
        frames={panel.data.series}
        structureRev={panel.data.structureRev ?? 1}
        timeRange={panel.timeRange}
        timeZone="utc"
        width={panel.width}
        height={panel.height}
        legend={panel.options.legend}
        options={panel.options}
        tweakScale={(each: any) => each}
        tweakAxis={(each: any) => each}
        theme={theme}
      >
        {() => null}
      </U.TimeSeries>
    ),
    stat: (panel: any) => {
      const { colorMode, graphMode, justifyMode, textMode, wideLayout } = panel.options;
      const one = ({ value, alignmentFactors, width, height, count }: any) => (
        <U.BigValue
          theme={theme} value={value.display} sparkline={value.sparkline} count={count} width={width} height={height} alignmentFactors={alignmentFactors}
          colorMode={colorMode} graphMode={graphMode} justifyMode={justifyMode} textMode={textMode} disableWideLayout={!wideLayout}
        />
      );
      return repeated(panel, theme, one, 'auto');
    },
    bargauge: (panel: any) => {
      const one = ({ value, width, height, alignmentFactors }: any) => (
        <U.BarGauge
          theme={theme} value={value.display} field={value.field} width={width} height={height} orientation="horizontal"
          display={value.view?.getFieldDisplayProcessor(value.colIndex)} displayMode={panel.options.displayMode}
          alignmentFactors={alignmentFactors} namePlacement={panel.options.namePlacement} showUnfilled={panel.options.showUnfilled} valueDisplayMode={panel.options.valueMode}
        />
      );
      return repeated(panel, theme, one, 'horizontal', 16);
    },
    table: (panel: any) => {
      const Table = (unstable as any).TableNG;
      D.cacheFieldDisplayNames(panel.data.series);
      return (
        <Table
          data={panel.data.series[0]} width={panel.width} height={panel.height} fieldConfig={panel.fieldConfig} cellHeight="sm"
          initialSortBy={panel.options.sortBy} structureRev={1} getActions={() => []} noHeader={false}
        />
      );
    },
    'state-timeline': (panel: any) => <Bars panel={panel} />,
    heatmap: (panel: any) => <Cells panel={panel} />,
  };
  return Object.fromEntries(
    Object.entries(kinds).map(([id, draw]) => {
      const made: any = plugin(draw);
      made.meta = { id, name: id, type: 'panel', info: { version: '13.2.2', logos: { small: '', large: '' } } };
      return [id, made];
    })
  );
}
