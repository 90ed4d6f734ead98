// `npm run bench -- NAME…`: builds the web application if needed, then measures (bench/README.md).
import { buildWeb, webIsStale } from './start.mjs';

if (webIsStale()) buildWeb();
await import('../bench/main.ts');
