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
  let held = true;
  const left = places.get(place);
  const end = (): void => {
    box.scrollTop = box.scrollHeight;
  };
  const look = (): void => {
    held = box.scrollHeight - box.scrollTop - box.clientHeight <= NEAR;
    if (held) places.delete(place);
    else places.set(place, box.scrollTop);
    moved(held);
  };
  if (left === undefined) end();
  else {
    held = false;
    box.scrollTop = left;
  }
  moved(held);
  box.addEventListener('scroll', look, { passive: true });
  const watcher = typeof ResizeObserver === 'function' ? new ResizeObserver(() => (held ? end() : look())) : null;
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
