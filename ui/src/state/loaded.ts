// Something that is fetched: not here yet, here, or why not.

import type { Problem } from '../ipc/bindings';

export type Loaded<T> = { at: 'loading' } | { at: 'ready'; value: T } | { at: 'error'; problem: Problem };
