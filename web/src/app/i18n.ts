/** English and German; only the language in use is loaded. Layer: web/app. */
import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';

export const LANGUAGES = [
  { code: 'en', name: 'English' },
  { code: 'de', name: 'Deutsch' },
] as const;
export type LanguageCode = (typeof LANGUAGES)[number]['code'];

const STORED = 'lightbox.language';

const loaders: Record<LanguageCode, () => Promise<{ default: Record<string, unknown> }>> = {
  en: () => import('./locales/en.json'),
  de: () => import('./locales/de.json'),
};

/** The person's choice, else the browser's, else English. */
export function preferredLanguage(stored: string | null, browser: readonly string[]): LanguageCode {
  for (const wanted of [stored, ...browser]) {
    const found = LANGUAGES.find(({ code }) => wanted?.toLowerCase().split('-')[0] === code);
    if (found) return found.code;
  }
  return 'en';
}

async function load(language: LanguageCode): Promise<void> {
  if (i18next.hasResourceBundle(language, 'translation')) return;
  i18next.addResourceBundle(language, 'translation', (await loaders[language]()).default);
}

export async function startLanguages(): Promise<void> {
  const language = preferredLanguage(localStorage.getItem(STORED), navigator.languages);
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: { [language]: { translation: (await loaders[language]()).default } },
    interpolation: { escapeValue: false },
    returnNull: false,
  });
  document.documentElement.lang = language;
}

export async function chooseLanguage(language: LanguageCode): Promise<void> {
  await load(language);
  await i18next.changeLanguage(language);
  localStorage.setItem(STORED, language);
  document.documentElement.lang = language;
}
