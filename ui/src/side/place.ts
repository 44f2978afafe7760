// Where the diff of each run was left, so that it is found there again.
//
// Rule: a place is a file and how far into it, not a height: files that are not drawn have no true height yet.

import type { Attachment } from 'svelte/attachments';
import type { RunId } from '../ipc/bindings';

const places = new Map<RunId, { file: string; by: number }>();

/** Keeps the place of a scrolling box whose files carry `data-file`. */
export function placeOf(run: RunId): Attachment<HTMLElement> {
  return (box) => {
    const files = (): HTMLElement[] => [...box.querySelectorAll<HTMLElement>('[data-file]')];
    const above = (file: HTMLElement): number => box.getBoundingClientRect().top - file.getBoundingClientRect().top;
    const place = places.get(run);
    const there = files().find((file) => file.dataset.file === place?.file);
    if (place !== undefined && there !== undefined) box.scrollTop += place.by - above(there);
    const left = (): void => {
      const first = files().findLast((file) => above(file) >= 0);
      if (first?.dataset.file !== undefined) places.set(run, { file: first.dataset.file, by: above(first) });
    };
    box.addEventListener('scroll', left, { passive: true });
    return () => box.removeEventListener('scroll', left);
  };
}
