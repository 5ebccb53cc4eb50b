// Bundles the page that draws boards: node build.mjs SOURCE_FOLDER. Run where node_modules is.
import { createRequire } from 'node:module';
import { copyFileSync } from 'node:fs';
import { resolve } from 'node:path';

const require = createRequire(resolve('package.json'));
const esbuild = require('esbuild');
const routerOfVersion5 = require.resolve('react-router-dom-v5/esm/react-router-dom.js');
const source = process.argv[2];

await esbuild.build({
  entryPoints: [resolve(source, 'boards.tsx')],
  outfile: 'boards.js',
  bundle: true,
  format: 'iife',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  jsx: 'automatic',
  logLevel: 'error',
  nodePaths: [resolve('node_modules')],
  loader: { '.svg': 'dataurl', '.woff2': 'dataurl', '.woff': 'dataurl', '.ttf': 'dataurl' },
  // without the second, lodash takes the page for an AMD loader
  define: { 'process.env.NODE_ENV': '"production"', 'define.amd': 'false' },
  plugins: [
    {
      name: 'router of version 5, as its compat package expects it',
      setup(build) {
        build.onResolve({ filter: /^react-router-dom$/ }, (wanted) =>
          wanted.importer.includes('react-router-dom-v5-compat') ? { path: routerOfVersion5 } : undefined
        );
      },
    },
  ],
});
copyFileSync(resolve(source, 'index.html'), 'index.html');
