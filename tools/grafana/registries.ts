// What Grafana's core registers before it draws: here without editors.
import * as data from '@grafana/data';

const D: any = data;
const none: any = () => null;

const EDITORS = `number text boolean select multi-select radio unit color slider stats-picker strings timezone fieldColor
  thresholds mappings links actions field-name dashboard-uid data-links string fieldNames series value axis nested`;

export function register() {
  D.standardEditorsRegistry.setInit(() =>
    EDITORS.split(/\s+/).map((id) => ({ id, name: id, description: '', editor: none }))
  );
  D.standardFieldConfigEditorRegistry.setInit(() => [
    option('unit', D.unitOverrideProcessor),
    option('min', D.numberOverrideProcessor),
    option('max', D.numberOverrideProcessor),
    option('decimals', D.numberOverrideProcessor),
    option('displayName', D.displayNameOverrideProcessor),
    option('noValue', D.stringOverrideProcessor),
    option('color'),
    option('thresholds', D.thresholdsOverrideProcessor),
    option('mappings', D.valueMappingsOverrideProcessor),
    option('links', D.dataLinksOverrideProcessor),
    option('actions'),
    option('filterable'),
    option('fieldMinMax'),
  ]);
  D.standardTransformersRegistry.setInit(() =>
    [...new Map(Object.values(D.standardTransformers).map((each: any) => [each.id, each])).values()].map((each) => ({
      id: each.id,
      name: each.name,
      aliasIds: each.aliasIds,
      transformation: () => Promise.resolve(each),
      editor: none,
      imageDark: '',
      imageLight: '',
    }))
  );
}

function option(id: string, process: any = D.identityOverrideProcessor) {
  return {
    id, path: id, name: id, description: '', editor: none, override: none, process,
    settings: {}, shouldApply: () => true, getItemsCount: () => 0,
  };
}
