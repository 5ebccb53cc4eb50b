// A board as @grafana/schema's types say it has to be: panels with the options and field settings of their own kind.
import type {
  AnnotationQuery,
  Dashboard,
  FieldConfig,
  MatcherConfig,
  Panel,
  RowPanel,
  VariableModel,
} from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as states from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// As JSON has it: the values of an enum instead of its names, and what a panel has defaults for may be left out.
type Json<T> = 0 extends 1 & T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? `${T}` extends `${infer N extends number}`
        ? N
        : number
      : T extends readonly (infer Item)[]
        ? Json<Item>[]
        : T extends object
          ? { [Key in keyof T]?: Json<T[Key]> }
          : T;

type Property<Custom> =
  | { [Key in keyof Custom & string]-?: { id: `custom.${Key}`; value: Json<Custom[Key]> } }[keyof Custom & string]
  | { [Key in Exclude<keyof FieldConfig, 'custom'>]-?: { id: Key; value: Json<FieldConfig[Key]> } }[Exclude<
      keyof FieldConfig,
      'custom'
    >];

type Of<Kind, Options, Custom> = Json<Omit<Panel, 'type' | 'options' | 'fieldConfig'>> & {
  type: Kind;
  options: Json<Options>;
  fieldConfig: {
    defaults: Json<Omit<FieldConfig, 'custom'>> & { custom?: Json<Custom> };
    overrides: { matcher: Json<MatcherConfig>; properties: Property<Custom>[] }[];
  };
};

type Nothing = Record<never, never>;

// What the Prometheus data source and Grafana's editor keep there, and these types do not know.
type Annotation = Json<AnnotationQuery> & {
  expr: string;
  step: string;
  textFormat: string;
  titleFormat: string;
};
type Variable = Json<VariableModel> & { definition?: string };

export type Board = Json<Omit<Dashboard, 'panels' | 'annotations' | 'templating'>> & {
  annotations: { list: Annotation[] };
  templating: { list: Variable[] };
  panels: (
    | Of<'bargauge', bargauge.Options, Nothing>
    | Of<'heatmap', heatmap.Options, heatmap.FieldConfig>
    | Of<'stat', stat.Options, Nothing>
    | Of<'state-timeline', states.Options, states.FieldConfig>
    | Of<'table', table.Options, table.FieldConfig>
    | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>
    | Json<RowPanel>
  )[];
};
