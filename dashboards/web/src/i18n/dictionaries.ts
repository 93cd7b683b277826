// The two languages and the type that keeps them complete.

import { en } from "./en";
import { ja } from "./ja";

/** Each key of ja with its shape: a word, or a sentence made of the same arguments. */
export type Dictionary = {
  readonly [Key in keyof typeof ja]: (typeof ja)[Key] extends (...words: infer Words) => string
    ? (...words: Words) => string
    : string;
};

export type Language = "ja" | "en";

export const DICTIONARIES: Readonly<Record<Language, Dictionary>> = { ja, en };
