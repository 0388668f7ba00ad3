// The default theme of VitePress, with the colours of the logo.
import DefaultTheme from "vitepress/theme";
// oxlint-disable-next-line import/no-unassigned-import -- A style sheet has nothing to assign.
import "./style.css";

// oxlint-disable-next-line import/no-default-export -- VitePress reads the default export.
export default DefaultTheme;
