// Draws a board as Grafana does, with its own libraries: `mount(board, job, range)`, then `states()`.
import * as data from '@grafana/data';
import * as runtime from '@grafana/runtime';
import * as ui from '@grafana/ui';
import * as scenes from '@grafana/scenes';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { map } from 'rxjs';
import { panels } from './panels';
import { NAME, Prometheus } from './prometheus';
import { register } from './registries';

register();
const R: any = runtime;
const S: any = scenes;
const theme = data.createTheme({ colors: { mode: 'dark' } });
R.config.theme2 = theme;
const PANELS = panels(theme);
const POINTS = 500; // as wide as a panel is here
let scene: any;

function connect(url: string, scrape: number) {
  const replace = (text: string, scoped: any, format: any) => S.sceneGraph.interpolate(scene, text, scoped, format);
  const prometheus = new Prometheus(url, scrape, replace);
  const settings = { uid: NAME, type: NAME, name: NAME, meta: (prometheus as any).meta, isDefault: true };
  R.setAppEvents(new data.EventBusSrv());
  R.setDataSourceSrv({
    get: async () => prometheus,
    getInstanceSettings: () => settings,
    getList: () => [settings],
    reload() {},
    registerRuntimeDataSource() {},
  });
  R.setRunRequest((source: any, request: any) =>
    source.query(request).pipe(
      map((answer: any) => ({ state: answer.state, series: answer.data, timeRange: request.range, request }))
    )
  );
  R.setTemplateSrv({ replace, getVariables: () => [], containsTemplate: () => false, updateTimeRange() {} });
  const panel = (id: string) => {
    if (!PANELS[id]) {
      throw new Error(`no panel of kind ${id}`);
    }
    return PANELS[id];
  };
  R.setPluginImportUtils({ importPanelPlugin: async (id: string) => panel(id), getPanelPluginFromCache: panel });
}

function variable(one: any, chosen: Record<string, string>) {
  if (one.type === 'datasource') {
    return new S.DataSourceVariable({ name: one.name, label: one.label, pluginId: one.query, value: NAME, text: NAME });
  }
  if (one.type === 'textbox') {
    return new S.TextBoxVariable({ name: one.name, label: one.label, value: chosen[one.name] ?? one.query });
  }
  const { name, label, query, multi, includeAll, allValue } = one;
  const start = multi ? {} : { value: chosen[name], text: chosen[name] };
  const datasource = { uid: NAME, type: NAME };
  return new S.QueryVariable({
    name, label, query, datasource, isMulti: multi, includeAll, defaultToAll: includeAll, allValue, ...start,
  });
}

function item(panel: any) {
  const { x, y, w, h } = panel.gridPos;
  const queries = new S.SceneQueryRunner({
    queries: panel.targets, datasource: panel.datasource, maxDataPoints: panel.maxDataPoints ?? POINTS,
  });
  const $data = new S.SceneDataTransformer({ transformations: panel.transformations ?? [], $data: queries });
  const { title, description, type, options, fieldConfig } = panel;
  const body = new S.VizPanel({ key: `panel-${panel.id}`, title, description, pluginId: type, options, fieldConfig, $data });
  return new S.SceneGridItem({ x, y, width: w, height: h, body });
}

function rows(all: any[]) {
  const made: any[] = [];
  for (const panel of all) {
    if (panel.type === 'row') {
      made.push({ title: panel.title, y: panel.gridPos.y, key: `row-${panel.id}`, children: [] });
    } else {
      made[made.length - 1].children.push(item(panel));
    }
  }
  return made.map((row) => new S.SceneGridRow(row));
}

(window as any).mount = (board: any, job: any, range: string) => {
  connect(job.prometheus, job.scrape);
  const variables = board.templating.list.map((one: any) => variable(one, job.chosen));
  scene = new S.EmbeddedScene({
    $timeRange: new S.SceneTimeRange({ from: range, to: 'now' }),
    $variables: new S.SceneVariableSet({ variables }),
    controls: [new S.VariableValueSelectors({}), new S.SceneControlsSpacer(), new S.SceneTimePicker({})],
    body: new S.SceneGridLayout({ children: rows(board.panels) }),
  });
  createRoot(document.getElementById('root')!).render(
    <data.ThemeContext.Provider value={theme}>
      <ui.GlobalStyles />
      <MemoryRouter>
        <h1>{board.title}</h1>
        <scene.Component model={scene} />
      </MemoryRouter>
    </data.ThemeContext.Provider>
  );
};

/** Of each panel: the state of its data, its error, and how many frames and rows it got. */
(window as any).states = () => {
  const items = scene.state.body.state.children.flatMap((row: any) => row.state.children);
  return items.map((each: any) => {
    const panel = each.state.body;
    const got = S.sceneGraph.getData(panel).state.data;
    const error = got?.errors?.[0]?.message ?? got?.error?.message ?? panel.state._pluginLoadError;
    const rows = Math.max(0, ...(got?.series ?? []).map((frame: any) => frame.length));
    return { title: panel.state.title, kind: panel.state.pluginId, state: got?.state, error, frames: got?.series.length ?? 0, rows };
  });
};
