/** Colours and sizes: dark for the reading room, light for the office; both WCAG AA. Layer: web/ui. */
import {
  Badge,
  Button,
  createTheme,
  Menu,
  Modal,
  Paper,
  Table,
  Tooltip,
  type CSSVariablesResolver,
  type MantineColorsTuple,
} from '@mantine/core';

const beam: MantineColorsTuple = [
  '#e6f7fb',
  '#d0edf4',
  '#a0dbe8',
  '#6dc8dc',
  '#46b8d2',
  '#2fadca',
  '#16798f',
  '#11687c',
  '#0a5566',
  '#06414f',
];

/** Blue-black rather than grey: in a dark room the picture has to be the brightest and only neutral thing. */
const dark: MantineColorsTuple = [
  '#dbe2e8',
  '#b9c3cc',
  '#97a3ae',
  '#5f6b76',
  '#2c353e',
  '#212932',
  '#181f26',
  '#11161b',
  '#0c1014',
  '#070a0c',
];

export const theme = createTheme({
  colors: { beam, dark },
  primaryColor: 'beam',
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  defaultRadius: 'sm',
  fontFamily:
    'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK KR", sans-serif',
  headings: { fontWeight: '600' },
  respectReducedMotion: true,
  cursorType: 'pointer',
  focusRing: 'auto',
  components: {
    Badge: Badge.extend({ defaultProps: { tt: 'none', fw: 500, radius: 'sm' } }),
    Button: Button.extend({ defaultProps: { fw: 500 } }),
    // The placeholder is a child that a menu may not have (ARIA 1.2 §5.4).
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }),
    Modal: Modal.extend({ defaultProps: { centered: true, radius: 'md' } }),
    Paper: Paper.extend({ defaultProps: { radius: 'md' } }),
    Table: Table.extend({ defaultProps: { verticalSpacing: 'xs', highlightOnHover: true } }),
    Tooltip: Tooltip.extend({
      defaultProps: { openDelay: 350, withArrow: true, color: 'dark.5', c: 'dark.0' },
    }),
  },
});

/** Mantine's own dim greys stay below 4.5 : 1 (WCAG 1.4.3). */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  dark: {
    '--mantine-color-dimmed': dark[2],
    '--mantine-color-placeholder': '#8b97a2',
    '--mantine-color-error': '#ff8787',
  },
  light: {
    '--mantine-color-dimmed': '#56606a',
    '--mantine-color-placeholder': '#66717b',
    '--mantine-color-error': '#c92a2a',
    // Text on its own pale ground (badges, alerts).
    '--mantine-color-teal-light-color': '#05664a',
    '--mantine-color-green-light-color': '#1b6b2f',
    '--mantine-color-yellow-light-color': '#7a4b00',
    '--mantine-color-orange-light-color': '#9c3d00',
    '--mantine-color-red-light-color': '#a61e1e',
  },
});
