// The description of the interface, and the answers of the server compared with it.

import { readFileSync } from 'node:fs';
import addFormats from 'ajv-formats';
import { Ajv2020 } from 'ajv/dist/2020.js';

export const DOCUMENT = JSON.parse(readFileSync(new URL('../../server/src/web/openapi.json', import.meta.url)));

/** The operations, each with the pattern of its path; paths without parameters come first. */
export const OPERATIONS = Object.entries(DOCUMENT.paths)
  .map(([path, methods]) => ({ path, methods, pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace('{original}', '.+').replaceAll(/\{\w+\}/g, '[^/]+')}$`) }))
  .sort((one, other) => one.path.split('{').length - other.path.split('{').length);

/** Origins of servers whose answers are compared. */
export const SERVED = new Set();

/** A copy whose objects have no other members than those that are described: a test finds a member that is not. */
function closed(value) {
  if (Array.isArray(value)) return value.map(closed);
  if (!(value instanceof Object)) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, name === 'example' ? inner : closed(inner)]));
  if (copy.type === 'object' && copy.properties) copy.additionalProperties ??= false;
  return copy;
}

let validator;
/** Compiles the schema at a place of the description, given by the names on the way to it. */
export function schemaAt(...names) {
  if (!validator) {
    validator = new Ajv2020({ strict: false, allErrors: true, formats: { int64: Number.isSafeInteger } });
    addFormats.default(validator);
    validator.addSchema(closed(DOCUMENT), 'claimgate');
  }
  const pointer = names.map((name) => `/${encodeURIComponent(String(name).replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('');
  const validate = validator.getSchema(`claimgate#${pointer}`);
  return (value) => (validate(value) ? undefined : validator.errorsText(validate.errors, { separator: '\n' }));
}

/** Returns the place of a response and the response, which may be one of the components. */
export function responseAt(path, method, status) {
  const response = DOCUMENT.paths[path][method].responses[status];
  const name = response?.$ref?.split('/').at(-1);
  return name ? [['components', 'responses', name], DOCUMENT.components.responses[name]] : [['paths', path, method, 'responses', status], response];
}

/** Fails where an answer is not as its operation is described; addresses that are not described may answer anything. */
export function compareAnswer(method, url, { status, headers, text }) {
  const { pathname } = new URL(url);
  const found = OPERATIONS.find(({ pattern }) => pattern.test(pathname));
  if (!found) return;
  const said = `${method} ${found.path} answered ${status} ${text.slice(0, 300)}`;
  const verb = found.path.startsWith('/auth') || method === 'HEAD' ? 'get' : method.toLowerCase();
  if (!found.methods[verb]) {
    if (status !== 405 || !headers.get('allow')) throw new Error(`${said}, and has no such method`);
    return;
  }
  const [place, response] = responseAt(found.path, verb, status);
  if (!response) throw new Error(`${said}, which is not described`);
  if (method === 'HEAD') return;
  if (!response.content) {
    if (text) throw new Error(`${said}, and is described without content`);
    return;
  }
  const type = headers.get('content-type')?.split(';')[0];
  if (!response.content[type]) throw new Error(`${said} as ${type}`);
  const wrong = schemaAt(...place, 'content', type, 'schema')(type.endsWith('json') ? JSON.parse(text) : text);
  if (wrong) throw new Error(`${said}: ${wrong}`);
}
