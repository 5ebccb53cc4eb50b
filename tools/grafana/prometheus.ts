// A Prometheus data source: the same API as Grafana's own, straight from the browser.
import * as data from '@grafana/data';
import { from } from 'rxjs';

const D: any = data;
export const NAME = 'prometheus';

export class Prometheus extends data.DataSourceApi<any> {
  /** scrape: seconds between two samples */
  constructor(private url: string, private scrape: number, private replace: (text: string, scoped: any, format: any) => string) {
    const meta = { id: NAME, info: {} };
    super({ id: 1, uid: NAME, type: NAME, name: NAME, jsonData: {}, meta } as any);
    (this as any).meta = meta;
    (this as any).interval = `${scrape}s`;
    (this as any).variables = undefined;
  }

  query(request: any): any {
    const answers = request.targets.map((target: any) => this.answer(target, request));
    return from(
      Promise.all(answers).then((all) => ({ data: all.flat(), state: data.LoadingState.Done }))
    );
  }

  async metricFindQuery(asked: any) {
    const text = typeof asked === 'string' ? asked : asked.query;
    const match = /label_values\((.*), (\w+)\)/.exec(this.replace(text, {}, joined));
    const found = await this.get(`label/${match![2]}/values`, { 'match[]': match![1] });
    return found.map((value: string) => ({ text: value }));
  }

  async testDatasource() {
    return { status: 'success', message: '' };
  }

  private async answer(target: any, request: any) {
    const end = Math.floor(request.range.to.valueOf() / 1000);
    const start = Math.floor(request.range.from.valueOf() / 1000);
    const step = Math.max(this.scrape, request.intervalMs / 1000);
    const intervals = {
      __rate_interval: { text: '', value: `${Math.max(step + this.scrape, 4 * this.scrape)}s` },
      __interval: { text: '', value: `${step}s` },
      __range: { text: '', value: `${end - start}s` },
    };
    const query = this.replace(target.expr, { ...request.scopedVars, ...intervals }, joined);
    const { result } = target.instant
      ? await this.get('query', { query, time: end })
      : await this.get('query_range', { query, start, end, step });
    return target.format === 'table' ? [asTable(target, result, request.targets.length > 1)] : result.map((one: any) => asSeries(target, one, step));
  }

  private async get(path: string, parameters: Record<string, any>) {
    const answer = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const said = await answer.json();
    if (said.status !== 'success') {
      throw new Error(said.error);
    }
    return said.data;
  }
}

const joined = (value: any) => (Array.isArray(value) ? value.join('|') : value);

function asTable(target: any, result: any[], several: boolean) {
  const labels = [...new Set<string>(result.flatMap((one) => Object.keys(one.metric)))];
  return D.toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: 'time', values: result.map((one) => one.value[0] * 1000) },
      ...labels.map((name) => ({ name, type: 'string', values: result.map((one) => one.metric[name]) })),
      { name: several ? `Value #${target.refId}` : 'Value', type: 'number', values: result.map((one) => +one.value[1]) },
    ],
  });
}

function asSeries(target: any, one: any, step: number) {
  const points = one.values ?? [one.value];
  const name = (target.legendFormat ?? '').replace(/{{\s*(\w+)\s*}}/g, (_: string, label: string) => one.metric[label] ?? '');
  return D.toDataFrame({
    refId: target.refId,
    name: name || undefined,
    fields: [
      { name: 'Time', type: 'time', values: points.map((point: any) => point[0] * 1000), config: { interval: step * 1000 } },
      {
        name: 'Value',
        type: 'number',
        labels: one.metric,
        values: points.map((point: any) => +point[1]),
        config: name ? { displayNameFromDS: name } : {},
      },
    ],
  });
}
