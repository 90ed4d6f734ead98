/** What hands do to images: tools, buttons and fingers, and the looks of measurements. Layer: web/engine. */
import {
  AngleTool,
  EllipticalROITool,
  Enums as ToolEnums,
  LengthTool,
  PanTool,
  StackScrollTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
  addTool,
  annotation,
  cancelActiveManipulations,
} from '@cornerstonejs/tools';
import type { DicomJson } from './instance.ts';
import { measurementLines, type MeasureWords, type Statistics } from './measure.ts';

export const TOOLS = ['window', 'scroll', 'pan', 'zoom', 'length', 'angle', 'ellipse'] as const;
export type ToolName = (typeof TOOLS)[number];

const TOOL_CLASSES = {
  window: WindowLevelTool,
  scroll: StackScrollTool,
  pan: PanTool,
  zoom: ZoomTool,
  length: LengthTool,
  angle: AngleTool,
  ellipse: EllipticalROITool,
} as const;
const MEASURING = [LengthTool, AngleTool, EllipticalROITool] as const;

export const GROUP = 'lightbox';

/** Yellow is what people expect of a measurement; the chosen one is white. */
const MEASURE_STYLE = {
  color: 'rgb(255, 212, 59)',
  colorHighlighted: 'rgb(255, 236, 153)',
  colorSelected: 'rgb(255, 255, 255)',
  lineWidth: '1.5',
  shadow: true,
  textBoxColor: 'rgb(255, 212, 59)',
  textBoxColorHighlighted: 'rgb(255, 236, 153)',
  textBoxColorSelected: 'rgb(255, 255, 255)',
  textBoxFontFamily: 'system-ui, sans-serif',
  textBoxFontSize: '13px',
  textBoxBackground: 'rgba(0, 0, 0, 0.6)',
  textBoxShadow: false,
} as const;

let words: MeasureWords = { area: 'Area', mean: 'Mean', deviation: 'SD', range: 'Range' };

/** The words beside measurements in the language of the page. */
export function nameMeasurements(next: MeasureWords): void {
  words = next;
}

/** Once, after the tools of Cornerstone are started. `headerOf` finds the header of an image. */
export function startTools(headerOf: (imageId: string) => DicomJson | undefined): void {
  for (const tool of Object.values(TOOL_CLASSES)) addTool(tool);
  const styles = annotation.config.style;
  styles.setDefaultToolStyles({
    ...styles.getDefaultToolStyles(),
    global: { ...styles.getDefaultToolStyles()['global'], ...MEASURE_STYLE },
  } as never);
  const group = ToolGroupManager.createToolGroup(GROUP);
  const getTextLines = (
    data: { cachedStats?: Record<string, Statistics | undefined> },
    targetId: string,
  ): string[] => {
    const header = headerOf(targetId.replace(/^imageId:/, ''));
    const found = data.cachedStats?.[targetId];
    return header && found ? measurementLines(header, found, words) : [];
  };
  for (const tool of Object.values(TOOL_CLASSES))
    group?.addTool(tool.toolName, MEASURING.some((one) => one === tool) ? { getTextLines } : {});
  chooseTool('window');
}

const { MouseBindings } = ToolEnums;

/** What the first button and one finger do; wheel scrolls, middle button pans, right button zooms, always. */
export function chooseTool(name: ToolName): void {
  const group = ToolGroupManager.getToolGroup(GROUP);
  if (!group) return;
  for (const tool of Object.values(TOOL_CLASSES))
    group.setToolPassive(tool.toolName, { removeAllBindings: true });
  const bindings = new Map<string, { mouseButton?: number; numTouchPoints?: number }[]>([
    [StackScrollTool.toolName, [{ mouseButton: MouseBindings.Wheel }]],
    [PanTool.toolName, [{ mouseButton: MouseBindings.Auxiliary }]],
    [ZoomTool.toolName, [{ mouseButton: MouseBindings.Secondary }, { numTouchPoints: 2 }]],
  ]);
  const chosen = TOOL_CLASSES[name].toolName;
  bindings.set(chosen, [
    { mouseButton: MouseBindings.Primary },
    { numTouchPoints: 1 },
    ...(bindings.get(chosen) ?? []),
  ]);
  for (const [tool, some] of bindings) group.setToolActive(tool, { bindings: some });
}

/** Takes measurements off: the chosen ones on these images, else the last drawn on `current`. @returns whether any went. */
export function removeMeasurement(imageIds: ReadonlySet<string>, current: string | undefined): boolean {
  const here = annotation.state
    .getAllAnnotations()
    .filter((one) => imageIds.has(one.metadata?.referencedImageId ?? ''));
  const chosen = new Set(annotation.selection.getAnnotationsSelected());
  const selected = here.filter(({ annotationUID = '' }) => chosen.has(annotationUID));
  const last = here.filter((one) => one.metadata?.referencedImageId === current).at(-1);
  const going = selected.length ? selected : last ? [last] : [];
  for (const { annotationUID } of going) if (annotationUID) annotation.state.removeAnnotation(annotationUID);
  return going.length > 0;
}

export function removeMeasurements(imageIds: ReadonlySet<string>): void {
  for (const one of annotation.state.getAllAnnotations())
    if (one.annotationUID && imageIds.has(one.metadata?.referencedImageId ?? ''))
      annotation.state.removeAnnotation(one.annotationUID);
}

export const forgetMeasurements = (): void => annotation.state.removeAllAnnotations();

/** Gives up a measurement that is being drawn. @returns whether there was one. */
export const cancelDrawing = (element: HTMLDivElement): boolean =>
  cancelActiveManipulations(element) !== undefined;
