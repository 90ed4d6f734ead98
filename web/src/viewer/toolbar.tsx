/** The viewer's tools: one row of icons, each with its name and key. Layer: web/viewer. */
import { ActionIcon, Button, Menu, Tooltip } from '@mantine/core';
import {
  IconAngle,
  IconArrowsMove,
  IconArrowsVertical,
  IconCircleHalf2,
  IconChevronDown,
  IconContrast2,
  IconEraser,
  IconFlipVertical,
  IconKeyboard,
  IconLayoutGrid,
  IconMaximize,
  IconMinus,
  IconOvalVertical,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlus,
  IconRefresh,
  IconRotateClockwise,
  IconRulerMeasure,
  IconTextCaption,
  IconZoomIn,
  type Icon,
} from '@tabler/icons-react';
import type { TFunction } from 'i18next';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { TOOLS, type ToolName } from '../engine/tools.ts';
import type { GreyChoice } from '../engine/voi.ts';
import { greyKey } from './keys.ts';
import { LAYOUTS, type Layout } from './presets.ts';

const TOOL_ICONS: Readonly<Record<ToolName, Icon>> = {
  window: IconContrast2,
  scroll: IconArrowsVertical,
  pan: IconArrowsMove,
  zoom: IconZoomIn,
  length: IconRulerMeasure,
  angle: IconAngle,
  ellipse: IconOvalVertical,
};
const TOOL_HINTS: Readonly<Record<ToolName, string>> = {
  window: 'W',
  scroll: 'S',
  pan: 'P',
  zoom: 'Z',
  length: 'L',
  angle: 'A',
  ellipse: 'E',
};

const ACTIONS = [
  { name: 'invert', Icon: IconCircleHalf2, hint: 'I' },
  { name: 'rotate', Icon: IconRotateClockwise, hint: 'R' },
  { name: 'flip', Icon: IconFlipVertical, hint: 'H' },
  { name: 'fit', Icon: IconMaximize, hint: 'F' },
  { name: 'erase', Icon: IconEraser, hint: 'Del' },
  { name: 'reset', Icon: IconRefresh, hint: '0' },
] as const;
export type ActionName = (typeof ACTIONS)[number]['name'];

interface ToolbarProps {
  readonly tool: ToolName;
  readonly onTool: (tool: ToolName) => void;
  readonly onAction: (action: ActionName) => void;
  readonly inverted: boolean;
  /** Asked for when the menu opens: they belong to the image on the screen. */
  readonly choices: () => readonly GreyChoice[];
  readonly onGrey: (choice: GreyChoice) => void;
  /** Images a second; 0 stands still. */
  readonly rate: number;
  readonly canPlay: boolean;
  readonly onPlay: () => void;
  readonly onRate: (rate: number) => void;
  readonly overlays: boolean;
  readonly onOverlays: () => void;
  readonly layout: Layout;
  readonly onLayout: (layout: Layout) => void;
  readonly onHelp: () => void;
}

export function Toolbar(props: ToolbarProps) {
  const { t } = useTranslation();
  return (
    <div className="viewer-tools" role="toolbar" aria-label={t('viewer.tools')}>
      <div className="tool-group">
        {TOOLS.map((one) => {
          const ToolIcon = TOOL_ICONS[one];
          return (
            <Tool
              key={one}
              label={t(`viewer.tool.${one}`)}
              hint={TOOL_HINTS[one]}
              testId={`tool-${one}`}
              pressed={props.tool === one}
              onClick={() => props.onTool(one)}
            >
              <ToolIcon size={20} stroke={1.6} />
            </Tool>
          );
        })}
      </div>
      <div className="tool-group">
        <GreyMenu choices={props.choices} onGrey={props.onGrey} />
        {ACTIONS.map(({ name, Icon: ActionIcon_, hint }) => (
          <Tool
            key={name}
            label={t(`viewer.${name}`)}
            hint={hint}
            testId={`action-${name}`}
            {...(name === 'invert' ? { pressed: props.inverted } : {})}
            onClick={() => props.onAction(name)}
          >
            <ActionIcon_ size={20} stroke={1.6} />
          </Tool>
        ))}
      </div>
      <div className="tool-group">
        <Tool
          label={t('viewer.cine')}
          hint="C"
          testId="action-cine"
          pressed={props.rate > 0}
          disabled={!props.canPlay}
          onClick={props.onPlay}
        >
          {props.rate > 0 ? (
            <IconPlayerPause size={20} stroke={1.6} />
          ) : (
            <IconPlayerPlay size={20} stroke={1.6} />
          )}
        </Tool>
        {props.rate > 0 ? (
          <span className="rate">
            <Tool
              label={t('viewer.slower')}
              hint="["
              onClick={() => props.onRate(Math.max(1, Math.round(props.rate * 0.8)))}
            >
              <IconMinus size={16} />
            </Tool>
            <output data-testid="cine-rate">{t('viewer.rate', { rate: props.rate })}</output>
            <Tool
              label={t('viewer.faster')}
              hint="]"
              onClick={() => props.onRate(Math.min(60, Math.ceil(props.rate * 1.25)))}
            >
              <IconPlus size={16} />
            </Tool>
          </span>
        ) : null}
        <Tool
          label={t('viewer.overlays')}
          hint="O"
          testId="action-overlays"
          pressed={props.overlays}
          onClick={props.onOverlays}
        >
          <IconTextCaption size={20} stroke={1.6} />
        </Tool>
        <LayoutMenu layout={props.layout} onLayout={props.onLayout} />
        <Tool label={t('viewer.help')} hint="?" onClick={props.onHelp}>
          <IconKeyboard size={20} stroke={1.6} />
        </Tool>
      </div>
    </div>
  );
}

function Tool(props: {
  label: string;
  hint: string;
  testId?: string;
  pressed?: boolean;
  disabled?: boolean;
  onClick: () => void;
  children: ReactNode;
}) {
  return (
    <Tooltip
      label={
        <>
          {props.label} <kbd>{props.hint}</kbd>
        </>
      }
    >
      <ActionIcon
        className="tool"
        variant="transparent"
        size={36}
        aria-label={props.label}
        aria-keyshortcuts={props.hint === 'Del' ? 'Delete' : props.hint}
        data-testid={props.testId}
        {...(props.pressed === undefined ? {} : { 'aria-pressed': props.pressed })}
        disabled={props.disabled ?? false}
        onClick={props.onClick}
      >
        {props.children}
      </ActionIcon>
    </Tooltip>
  );
}

function GreyMenu(props: Pick<ToolbarProps, 'choices' | 'onGrey'>) {
  const { t } = useTranslation();
  const [choices, setChoices] = useState<readonly GreyChoice[]>([]);
  return (
    <Menu position="bottom-start" onOpen={() => setChoices(props.choices())}>
      <Menu.Target>
        <Button
          className="tool"
          variant="transparent"
          h={36}
          px={8}
          rightSection={<IconChevronDown size={14} />}
          data-testid="grey-menu"
        >
          {t('viewer.windows')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {choices.length === 0 ? <Menu.Item disabled>{t('viewer.noWindows')}</Menu.Item> : null}
        {choices.map((choice, at) => (
          <Menu.Item
            key={at}
            data-testid="grey-choice"
            rightSection={<kbd>{greyKey(choices, choice)}</kbd>}
            onClick={() => props.onGrey(choice)}
          >
            {greyName(choice, t)}
            {'centre' in choice ? (
              <span className="grey-values">
                {short(choice.centre)} / {short(choice.width)}
              </span>
            ) : null}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

const short = (value: number): string => String(Math.round(value * 10) / 10);

function greyName(choice: GreyChoice, t: TFunction): string {
  switch (choice.kind) {
    case 'file':
      return choice.explanation || t('viewer.fileWindow', { number: choice.at + 1 });
    case 'table':
      return choice.explanation
        ? t('viewer.namedTable', { name: choice.explanation })
        : t('viewer.fileTable', { number: choice.at + 1 });
    case 'window':
      return choice.key.startsWith('suv')
        ? t('viewer.suvTo', { value: choice.key.slice(3) })
        : t(`viewer.preset.${choice.key}`);
    case 'full':
      return t('viewer.fullRange');
    default:
      return choice satisfies never;
  }
}

function LayoutMenu(props: Pick<ToolbarProps, 'layout' | 'onLayout'>) {
  const { t } = useTranslation();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          className="tool"
          variant="transparent"
          h={36}
          px={8}
          leftSection={<IconLayoutGrid size={20} stroke={1.6} />}
          title={t('viewer.layouts')}
          data-testid="layout-menu"
        >
          <span className="visually-hidden">{t('viewer.layouts')} </span>
          {props.layout.name.replace('x', ' × ')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <div className="layouts" role="group">
          {LAYOUTS.map((one) => (
            <Menu.Item
              key={one.name}
              aria-label={t('viewer.layout', { name: one.name })}
              data-testid={`layout-${one.name}`}
              data-chosen={props.layout === one}
              onClick={() => props.onLayout(one)}
            >
              <span
                className="layout-picture"
                style={{
                  gridTemplateColumns: `repeat(${one.columns}, 1fr)`,
                  gridTemplateRows: `repeat(${one.rows}, 1fr)`,
                }}
              >
                {Array.from({ length: one.rows * one.columns }, (_, cell) => (
                  <i key={cell} />
                ))}
              </span>
            </Menu.Item>
          ))}
        </div>
      </Menu.Dropdown>
    </Menu>
  );
}
