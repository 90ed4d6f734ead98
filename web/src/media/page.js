/**
 * The script of index.html on a medium: lists what is there and leafs through the pictures. Runs from the disc, in any browser.
 * Text of patients goes into the page as text only.
 *
 * Layer:  web/media. Put into the page by server/src/archive/export/page.ts.
 */
(() => {
  'use strict';
  const TEXTS = {
    en: {
      warning:
        'Not for diagnosis. The pictures here are reduced; the DICOM files on this medium are complete.',
      anonymous: 'De-identified. ',
      noName: 'Without a name',
      born: 'born',
      images: 'images',
      objects: 'objects',
      none: 'No picture of this object here. It is among the DICOM files.',
      broken: 'This picture could not be made or read. The object is among the DICOM files.',
      series: 'Series',
      step: 'Only one of every {n} images is shown here.',
      made: 'Written by Lightbox on',
      back: 'Previous image',
      on: 'Next image',
      place: 'Image',
      bright: 'Brightness',
      contrast: 'Contrast',
    },
    de: {
      warning:
        'Nicht zur Befundung. Die Bilder hier sind verkleinert; die DICOM-Dateien auf diesem Medium sind vollständig.',
      anonymous: 'De-identifiziert. ',
      noName: 'Ohne Namen',
      born: 'geboren',
      images: 'Bilder',
      objects: 'Objekte',
      none: 'Hier gibt es kein Bild dieses Objekts. Es ist unter den DICOM-Dateien.',
      broken: 'Dieses Bild konnte nicht erzeugt oder gelesen werden. Das Objekt ist unter den DICOM-Dateien.',
      series: 'Serie',
      step: 'Hier ist nur jedes {n}. Bild zu sehen.',
      made: 'Geschrieben von Lightbox am',
      back: 'Voriges Bild',
      on: 'Nächstes Bild',
      place: 'Bild',
      bright: 'Helligkeit',
      contrast: 'Kontrast',
    },
  };
  const language = /^de\b/i.test(navigator.language) ? 'de' : 'en';
  const t = TEXTS[language];
  const get = (id) => document.getElementById(id);
  const data = JSON.parse(get('data').textContent);
  const picture = get('picture');
  const slider = get('slider');
  let shown = [];
  let at = 0;

  /** Never in an order that could be read in two ways. */
  const written = (year, month, day) =>
    language === 'de' ? `${day}.${month}.${year}` : `${year}-${month}-${day}`;
  /** YYYYMMDD for people. */
  function date(text) {
    const parts = /^(\d{4})(\d\d)(\d\d)$/.exec(text);
    return parts ? written(parts[1], parts[2], parts[3]) : text;
  }
  /** PN: groups with =, components with ^ (PS3.5 §6.2.1). */
  function name(text) {
    const groups = text.split('=').map((group) => group.split('^').filter(Boolean).join(' ').trim());
    return groups.filter(Boolean).join(' · ') || t.noName;
  }
  function element(tag, text) {
    const made = document.createElement(tag);
    made.dir = 'auto';
    made.textContent = text;
    return made;
  }
  const line = (...parts) => parts.filter(Boolean).join(' · ');

  function show(index) {
    at = Math.max(0, Math.min(shown.length - 1, index));
    const source = shown[at];
    get('none').hidden = source !== undefined;
    picture.hidden = source === undefined;
    if (source === undefined) get('none').textContent = t.none;
    else picture.src = source;
    picture.alt = source === undefined ? '' : `${t.place} ${at + 1}`;
    slider.max = Math.max(1, shown.length);
    slider.value = at + 1;
    for (const id of ['slider', 'back', 'on']) get(id).disabled = shown.length < 2;
    get('place').textContent = shown.length ? `${at + 1} / ${shown.length}` : '';
  }
  picture.onerror = () => {
    picture.hidden = true;
    get('none').hidden = false;
    get('none').textContent = t.broken;
  };

  function choose(button, patient, study, series) {
    for (const one of document.querySelectorAll('[aria-current]')) one.removeAttribute('aria-current');
    button.setAttribute('aria-current', 'true');
    const born = patient.birthDate && `${t.born} ${date(patient.birthDate)}`;
    const who = line(name(patient.name), patient.id, born, patient.sex);
    get('who').textContent = who;
    document.title = who;
    get('study').textContent = line(date(study.date), study.description, series.description);
    shown = series.pictures;
    show(Math.floor(shown.length / 2));
  }

  get('warning').textContent = (data.deidentified ? t.anonymous : '') + t.warning;
  get('foot').textContent = line(
    `${t.made} ${date(data.made.slice(0, 10).replaceAll('-', ''))}`,
    data.step > 1 && t.step.replace('{n}', data.step),
  );
  document.documentElement.lang = language;
  for (const id of ['back', 'on']) get(id).setAttribute('aria-label', t[id]);
  slider.setAttribute('aria-label', t.place);
  get('brightText').textContent = t.bright;
  get('contrastText').textContent = t.contrast;
  let first;
  for (const patient of data.patients) {
    get('list').append(element('h2', line(name(patient.name), patient.id)));
    for (const study of patient.studies) {
      get('list').append(element('p', line(date(study.date), study.description, study.accession)));
      for (const series of study.series) {
        const count = `${series.objects} ${series.type === 'IMAGE' ? t.images : t.objects}`;
        const button = element(
          'button',
          line(series.modality, series.description || `${t.series} ${series.number}`, count),
        );
        button.type = 'button';
        const take = () => choose(button, patient, study, series);
        button.onclick = take;
        if (!first || (!first.pictures && series.pictures.length))
          first = { take, pictures: series.pictures.length };
        get('list').append(button);
      }
    }
  }
  first?.take();

  slider.oninput = () => show(slider.value - 1);
  get('back').onclick = () => show(at - 1);
  get('on').onclick = () => show(at + 1);
  get('stage').onwheel = (event) => {
    event.preventDefault();
    show(at + Math.sign(event.deltaY));
  };
  document.onkeydown = (event) => {
    if (event.target instanceof HTMLInputElement) return;
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[
      event.key
    ];
    if (step === undefined) return;
    event.preventDefault();
    show(at + step);
  };
  const grade = () => {
    picture.style.filter = `brightness(${get('bright').value}%) contrast(${get('contrast').value}%)`;
  };
  get('bright').oninput = grade;
  get('contrast').oninput = grade;
})();
