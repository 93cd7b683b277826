import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./ui/App";
import { LanguageProvider } from "./i18n/language";
import "./styles/ground.css";
import "./styles/frame.css";
import "./styles/weather.css";
import "./styles/lists.css";
import "./styles/map.css";
import "./styles/panel.css";
import "./styles/health.css";
import "./styles/waiting.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <LanguageProvider>
      <App />
    </LanguageProvider>
  </StrictMode>,
);
