// The time now, moving only while somebody looks at it.

import { createSubscriber } from 'svelte/reactivity';

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, 1000);
  return () => clearInterval(timer);
});

/** Milliseconds since 1970 UTC; an effect that reads it runs again each second. */
export function now(): number {
  subscribe();
  return Date.now();
}
