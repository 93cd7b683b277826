// Which language the page speaks: chosen once, remembered, Japanese unless told otherwise.

import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { DICTIONARIES, type Dictionary, type Language } from "./dictionaries";

const STORED_AS = "satomori.language";

interface Speech {
  readonly language: Language;
  readonly t: Dictionary;
  /** Choose and remember. */
  readonly choose: (language: Language) => void;
  /** Take over the account's language unless this browser has chosen already. */
  readonly suggest: (language: string) => void;
}

const SpeechContext = createContext<Speech | null>(null);

function isLanguage(word: string | null): word is Language {
  return word === "ja" || word === "en";
}

function remembered(): Language | null {
  try {
    const word = localStorage.getItem(STORED_AS);
    return isLanguage(word) ? word : null;
  } catch {
    return null; // storage may be forbidden; the page works without
  }
}

function remember(language: Language): void {
  try {
    localStorage.setItem(STORED_AS, language);
  } catch {
    // as above
  }
}

export function LanguageProvider({ children }: { readonly children: ReactNode }) {
  const [language, setLanguage] = useState<Language>(() => remembered() ?? "ja");
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const speech = useMemo<Speech>(
    () => ({
      language,
      t: DICTIONARIES[language],
      choose: (chosen) => {
        remember(chosen);
        setLanguage(chosen);
      },
      suggest: (word) => {
        if (remembered() === null && isLanguage(word)) setLanguage(word);
      },
    }),
    [language],
  );
  return <SpeechContext value={speech}>{children}</SpeechContext>;
}

export function useSpeech(): Speech {
  const speech = useContext(SpeechContext);
  if (speech === null) throw new Error("useSpeech outside LanguageProvider");
  return speech;
}
