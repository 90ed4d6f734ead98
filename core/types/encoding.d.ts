/**
 * The two text coders every runtime of ours has (Node, browser, worker); core's own `lib` is ES2023 only.
 *
 * Source: WHATWG Encoding Standard.
 */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: Uint8Array, options?: { stream?: boolean }): string;
  readonly encoding: string;
}

declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}
