/** Live news from the server by server-sent events, as one shared connection. Layer: web/api. */
import { LiveEvent } from '@lightbox/core/contract/api.ts';
import type { z } from 'zod';

export type News = z.output<typeof LiveEvent>;
export type LiveState = 'connecting' | 'live' | 'off';

const RETRY_MS = 5000;

/** Connects while somebody listens; reconnects by itself. */
export class LiveFeed {
  #source: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #state: LiveState = 'off';
  readonly #news = new Set<(news: News) => void>();
  readonly #states = new Set<() => void>();

  get state(): LiveState {
    return this.#state;
  }

  start(): void {
    if (this.#source) return;
    this.#set('connecting');
    const source = new EventSource('/api/events');
    this.#source = source;
    source.onopen = () => this.#set('live');
    source.onmessage = (message: MessageEvent<string>) => this.#take(message.data);
    source.onerror = () => {
      this.#set('connecting');
      if (source.readyState !== EventSource.CLOSED) return;
      // A refusal (401, 423, 503) closes for good: the browser does not try again, so we do.
      this.#source = undefined;
      this.#retry = setTimeout(() => this.start(), RETRY_MS);
    };
  }

  stop(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
    this.#set('off');
  }

  onNews(listener: (news: News) => void): () => void {
    this.#news.add(listener);
    return () => void this.#news.delete(listener);
  }

  readonly onState = (listener: () => void): (() => void) => {
    this.#states.add(listener);
    return () => void this.#states.delete(listener);
  };

  #set(state: LiveState): void {
    this.#state = state;
    for (const listener of this.#states) listener();
  }

  #take(data: string): void {
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch {
      return;
    }
    const parsed = LiveEvent.safeParse(value);
    if (parsed.success) for (const listener of this.#news) listener(parsed.data);
  }
}

export const live = new LiveFeed();
