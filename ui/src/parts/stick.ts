// Keeps a scrolling box at its end while text grows there, and only if the reader is at the end already.

/** How near the end counts as being there, in pixels. */
const NEAR = 24;

/** Where a box was left, by what it showed. */
const places = new Map<string, number>();

export interface Stick {
  /** Scrolls to the end and stays there. */
  toEnd(): void;
  destroy(): void;
}

/** Watches a scrolling box and its growing content. `moved` says whether the reader is at the end. */
export function stick(box: HTMLElement, content: HTMLElement, place: string, moved: (atEnd: boolean) => void): Stick {
  const left = places.get(place);
  let held = left === undefined;
  const end = (): void => {
    if (box.clientHeight === 0) return; // not shown
    box.scrollTop = box.scrollHeight;
  };
  const look = (): void => {
    if (box.clientHeight === 0) return;
    held = box.scrollHeight - box.scrollTop - box.clientHeight <= NEAR;
    if (held) places.delete(place);
    else places.set(place, box.scrollTop);
    moved(held);
  };
  let placed = false;
  /** The first time that it has a size; a box that is not shown has none. */
  const put = (): void => {
    if (placed || box.clientHeight === 0) return;
    placed = true;
    if (left !== undefined) box.scrollTop = left;
    else end();
  };
  put();
  moved(held);
  box.addEventListener('scroll', look, { passive: true });
  const watcher = typeof ResizeObserver === 'function' ? new ResizeObserver(() => (placed ? (held ? end() : look()) : put())) : null;
  watcher?.observe(content);
  watcher?.observe(box);
  return {
    toEnd: () => {
      held = true;
      end();
      moved(true);
    },
    destroy: () => {
      box.removeEventListener('scroll', look);
      watcher?.disconnect();
    },
  };
}
